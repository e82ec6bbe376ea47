using SplitFrozen.Contracts.Planning;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Comparison.Methods;

/// <summary>Training of one model on one source of samples: what a machine does with the data that it can reach.</summary>
/// <param name="problem">Task and hyperparameters.</param>
/// <param name="model">The model that trains.</param>
/// <param name="source">Where samples come from.</param>
internal sealed class LocalTraining(FineTuningProblem problem, UpperModel model, ISampleSource source)
{
    private const int EvaluationBatch = 128;

    /// <summary>The order in which some samples are trained on: a permutation an epoch, cut into batches.</summary>
    public static TrainingPlan Plan(FineTuningProblem problem, IEnumerable<EncodedSample> samples) => new(
        samples.Select(sample => sample.Id), problem.Seed, problem.Spec.Training.Epochs, problem.Spec.Training.BatchSize, EvaluationBatch);

    /// <summary>A tuner with moments of zero whose schedule covers a whole plan.</summary>
    public FineTuner Tuner(TrainingPlan plan) => new(model, problem.Spec.Training, plan.TotalSteps, problem.Seed, problem.IsLanguageModel);

    /// <summary>One epoch of a plan.</summary>
    /// <returns>Loss summed over counted labels, the labels and the tokens.</returns>
    /// <exception cref="TrainingDivergedException">The loss or its gradient is not finite.</exception>
    public EpochSums TrainEpoch(FineTuner tuner, TrainingPlan plan, int epoch, CancellationToken cancellationToken)
    {
        var sums = default(EpochSums);
        for (var step = epoch * plan.StepsPerEpoch; step < (epoch + 1) * plan.StepsPerEpoch; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var batch = source.Read(plan.Samples(plan.At(step)).ToArray());
            sums += tuner.Train(step, batch.Samples);
        }

        return sums;
    }

    /// <summary>The metrics over the held-out split.</summary>
    public IReadOnlyDictionary<string, double> Evaluate(FineTuner tuner, CancellationToken cancellationToken)
    {
        var accumulator = new EvaluationAccumulator(problem.Data.Task);
        foreach (var samples in problem.Data.Evaluation.Chunk(EvaluationBatch))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var batch = source.Read([.. samples.Select(sample => sample.Id)]);
            tuner.EvaluateInto(accumulator, batch.Samples);
        }

        return accumulator.Metrics();
    }
}

/// <summary>Sums over the steps of an epoch.</summary>
/// <param name="Loss">Loss times counted labels.</param>
/// <param name="Labels">Counted labels.</param>
/// <param name="Steps">Optimiser steps.</param>
internal readonly record struct EpochSums(double Loss, long Labels, long Steps)
{
    /// <summary>Loss per counted label; null without one.</summary>
    public double? MeanLoss => Labels == 0 ? null : Loss / Labels;

    public static EpochSums operator +(EpochSums sums, StepResult step) =>
        new(sums.Loss + (step.Loss * step.CountedLabels), sums.Labels + step.CountedLabels, sums.Steps + 1);

    public static EpochSums operator +(EpochSums left, EpochSums right) =>
        new(left.Loss + right.Loss, left.Labels + right.Labels, left.Steps + right.Steps);
}
