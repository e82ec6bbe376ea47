using SplitFrozen.Contracts.Wire;
using static TorchSharp.torch;

namespace SplitFrozen.Training.FineTuning;

/// <summary>One sample as it comes from a device or the cache.</summary>
/// <param name="Id">The sample.</param>
/// <param name="Cut">Depth of its hidden states, at most the boundary F.</param>
/// <param name="Hidden">Hidden states f32 <c>[T, H]</c> at the cut. Stays the caller's.</param>
/// <param name="Labels">One class, or for every token the id that follows it (−100 where it does not count).</param>
public sealed record TrainingSample(SampleId Id, int Cut, Tensor Hidden, int[] Labels);

/// <summary>What one optimiser step did.</summary>
/// <param name="Step">The step, counted from 0.</param>
/// <param name="Loss">Mean cross-entropy over all counted labels of the step, in nats.</param>
/// <param name="LearningRate">Learning rate used.</param>
/// <param name="GradientNorm">Norm of the gradients before clipping.</param>
/// <param name="Tokens">Tokens of the samples.</param>
/// <param name="CountedLabels">Labels that counted: samples, or tokens with a target.</param>
/// <param name="CorrectPredictions">Counted labels that had the largest logit.</param>
public sealed record StepResult(
    int Step, double Loss, double LearningRate, double GradientNorm, long Tokens, long CountedLabels, long CorrectPredictions);

/// <summary>The loss or its gradient is not finite; the parameters are those of the step before.</summary>
public sealed class TrainingDivergedException : Exception
{
    /// <summary>Names the step.</summary>
    /// <param name="step">The step that failed, counted from 0.</param>
    /// <param name="learningRate">Its learning rate.</param>
    public TrainingDivergedException(int step, double learningRate)
        : base($"The loss or its gradient is not finite at step {step} (learning rate {learningRate:g3}). Lower training.learning_rate, or set training.max_gradient_norm.") =>
        Step = step;

    /// <summary>The step that failed, counted from 0.</summary>
    public int Step { get; }
}
