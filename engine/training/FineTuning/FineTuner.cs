using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Models;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.FineTuning;

/// <summary>
/// Trains the adapters and the head of the upper model, one optimiser step at a time. A step is a pure function of the model's
/// parameters, the moments, the step's number and its samples in their order, so a resumed run gives the same bytes.
/// Not thread-safe; runs on the calling thread, which should be a compute thread.
/// </summary>
public sealed class FineTuner : IDisposable
{
    private readonly UpperModel _model;
    private readonly TrainingSpec _spec;
    private readonly ulong _seed;
    private readonly bool _labelsPerToken;
    private readonly LearningRateSchedule _schedule;
    private readonly WeightGradients _deferred = new();

    /// <summary>Starts with moments of zero.</summary>
    /// <param name="model">The upper model; stays the caller's.</param>
    /// <param name="spec">Batching, optimiser and schedule.</param>
    /// <param name="totalSteps">Steps of the whole run, for the schedule; at least 1.</param>
    /// <param name="seed">Seed of the run, for dropout.</param>
    /// <param name="labelsPerToken">Whether a sample has a label for every token, or one.</param>
    /// <exception cref="ArgumentException">The schedule has no such kind, or the model's head does not fit the labels.</exception>
    public FineTuner(UpperModel model, TrainingSpec spec, int totalSteps, ulong seed, bool labelsPerToken)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(spec);
        if (labelsPerToken != (model.Options.Head == HeadKind.LanguageModel))
        {
            throw new ArgumentException("Labels per token go with a language-model head, one label per sample with a classification head.", nameof(labelsPerToken));
        }

        _model = model;
        _spec = spec;
        _seed = seed;
        _labelsPerToken = labelsPerToken;
        _schedule = LearningRateSchedule.Create(spec.Schedule, spec.LearningRate, spec.WarmupRatio, totalSteps);
        Optimizer = AdamW.Over(model.FlatValues, model.FlatGradients, model.Parameters, AdamWOptions.From(spec));
    }

    /// <summary>Parameters and moments, which a checkpoint saves.</summary>
    public AdamW Optimizer { get; }

    /// <summary>
    /// One optimiser step. The samples are taken in micro-batches in their order; gradients are weighted so that they are those of
    /// the mean loss over all counted labels of the step, however it is split.
    /// </summary>
    /// <param name="step">The step, counted from 0; decides learning rate and dropout.</param>
    /// <param name="samples">At least one.</param>
    /// <param name="hiddenGradients">
    /// Gets, for every micro-batch in order, the gradient <c>[ΣT, H]</c> of the step's loss for its hidden states at F, before any
    /// clipping; the caller owns them. Needs <see cref="UpperModelOptions.GradientAtBoundary"/>; null for none.
    /// </param>
    /// <exception cref="ArgumentException">There is no sample, or one does not fit the model.</exception>
    /// <exception cref="TrainingDivergedException">The loss or its gradient is not finite.</exception>
    public StepResult Train(int step, IReadOnlyList<TrainingSample> samples, ICollection<Tensor>? hiddenGradients = null)
    {
        MicroBatch.Check(samples, _labelsPerToken);
        using var span = TrainingSpans.Step(step);
        var total = MicroBatch.Count(samples);
        var (loss, correct, tokens, index) = (0.0, 0L, 0L, 0);
        foreach (var part in samples.Chunk(MicroBatch.Size(_spec, samples.Count)))
        {
            using var batch = MicroBatch.Prepare(_model, part);
            using var pass = Forward(batch, step, index);
            var share = MicroBatch.Share(batch.CountedLabels, total);
            Backward(pass, share, index++);
            hiddenGradients?.Add(HiddenGradient(pass, batch));
            loss += batch.CountedLabels == 0 ? 0.0 : pass.Loss * share;
            correct += pass.CorrectPredictions;
            tokens += batch.Layout.Tokens;
        }

        var learningRate = _schedule.At(step);
        return new StepResult(step, loss, learningRate, Update(step, loss, learningRate), tokens, total, correct);
    }

    /// <summary>Adds samples, forward only and without dropout, to an evaluation.</summary>
    /// <param name="accumulator">Gets loss and predictions.</param>
    /// <param name="samples">Held-out samples; taken in micro-batches in their order.</param>
    /// <exception cref="ArgumentException">A sample does not fit the model.</exception>
    public void EvaluateInto(EvaluationAccumulator accumulator, IReadOnlyList<TrainingSample> samples)
    {
        ArgumentNullException.ThrowIfNull(accumulator);
        MicroBatch.Check(samples, _labelsPerToken);
        foreach (var part in samples.Chunk(MicroBatch.Size(_spec, _spec.BatchSize)))
        {
            using var batch = MicroBatch.Prepare(_model, part);
            using var pass = _model.Forward(batch.Hidden, batch.Layout, batch.Labels, dropoutSeed: 0, training: false);
            accumulator.Add(HeadResult.Of(pass, withPredictions: true), batch.Labels, part.Length);
        }
    }

    /// <summary>Frees the moments; the model stays.</summary>
    public void Dispose()
    {
        _deferred.Dispose();
        Optimizer.Dispose();
    }

    private ForwardPass Forward(MicroBatch batch, int step, int index)
    {
        using var span = TrainingSpans.Pass(SpanNames.Forward, index, batch.Layout.Tokens);
        return _model.Forward(batch.Hidden, batch.Layout, batch.Labels, MicroBatch.DropoutSeed(_seed, step, index), training: true);
    }

    private void Backward(ForwardPass pass, double share, int index)
    {
        using (TrainingSpans.Pass(SpanNames.BackwardInput, index))
        {
            pass.BackwardInput(share, _deferred);
        }

        using (TrainingSpans.Pass(SpanNames.BackwardWeight, index))
        {
            _deferred.Run();
        }
    }

    /// <summary>Without a counted label nothing ran backward, and the gradient is zero.</summary>
    private static Tensor HiddenGradient(ForwardPass pass, MicroBatch batch) => pass.HiddenGradient?.alias() ?? zeros_like(batch.Hidden);

    private double Update(int step, double loss, double learningRate)
    {
        using var span = TrainingSpans.Pass(SpanNames.OptimizerStep);
        var norm = Optimizer.ClipGradients(_spec.MaxGradientNorm);
        var isFinite = double.IsFinite(loss) && double.IsFinite(norm);
        if (isFinite)
        {
            Optimizer.Step(learningRate);
        }
        else
        {
            Optimizer.ZeroGradients();
        }

        _model.ClearGradients();
        return isFinite ? norm : throw new TrainingDivergedException(step, learningRate);
    }
}
