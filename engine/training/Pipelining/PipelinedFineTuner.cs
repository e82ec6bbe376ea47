using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Pipelining;
using SplitFrozen.Torch;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pipelining;

/// <summary>
/// Drives fine-tuning over stages, wherever they are. A step is committed in two phases: all stages compute, then all update, or none does. With one replica it
/// gives the bits of <see cref="FineTuner"/> with the same micro-batches. Of several replicas each takes a contiguous share of the micro-batches; their
/// gradients are summed in the replicas' order, and all make the same update. Not thread-safe.
/// </summary>
public sealed class PipelinedFineTuner
{
    private readonly TrainingSpec _spec;
    private readonly PipelineScheduleKind _kind;
    private readonly IReadOnlyList<IReadOnlyList<IStage>> _replicas;
    private readonly bool _labelsPerToken;

    /// <summary>Makes the driver.</summary>
    /// <param name="stages">The stages; stay the caller's.</param>
    /// <param name="kind">The schedule.</param>
    /// <param name="spec">Batching and clipping.</param>
    /// <param name="labelsPerToken">Whether a sample has a label for every token, or one.</param>
    public PipelinedFineTuner(StageSet stages, PipelineScheduleKind kind, TrainingSpec spec, bool labelsPerToken)
    {
        ArgumentNullException.ThrowIfNull(stages);
        ArgumentNullException.ThrowIfNull(spec);
        (_spec, _kind, _replicas, _labelsPerToken) = (spec, kind, stages.Replicas, labelsPerToken);
    }

    /// <summary>What the stages of the first replica did when in the last training step; null before the first.</summary>
    public PipelineTimeline? Timeline { get; private set; }

    /// <summary>One optimiser step; see <see cref="FineTuner.Train"/>.</summary>
    /// <param name="step">The step, counted from 0; decides dropout.</param>
    /// <param name="learningRate">Learning rate of the step.</param>
    /// <param name="samples">At least one.</param>
    /// <param name="cancellationToken">Abandons the step.</param>
    /// <exception cref="ArgumentException">There is no sample, or one does not fit the model.</exception>
    /// <exception cref="TrainingDivergedException">The loss or its gradient is not finite; the parameters are those of the step before.</exception>
    public async Task<StepResult> TrainAsync(int step, double learningRate, IReadOnlyList<TrainingSample> samples, CancellationToken cancellationToken)
    {
        MicroBatch.Check(samples, _labelsPerToken);
        using var span = TrainingSpans.Step(step);
        var parts = Split(step, trains: true, samples, MicroBatch.Size(_spec, samples.Count));
        var reports = await ComputeAsync(parts, cancellationToken).ConfigureAwait(false);
        var (loss, correct) = (0.0, 0L);
        foreach (var head in reports.SelectMany(replica => replica[^1].Heads))
        {
            loss += head.CountedLabels == 0 ? 0.0 : head.Loss * MicroBatch.Share(head.CountedLabels, parts[0].CountedLabels);
            correct += head.CorrectPredictions;
        }

        var norm = GradientClipping.Norm((await SumGradientsAsync(reports).ConfigureAwait(false)).SelectMany(squares => squares));
        if (!double.IsFinite(loss) || !double.IsFinite(norm))
        {
            await OnAllAsync(stage => stage.AbandonAsync()).ConfigureAwait(false);
            throw new TrainingDivergedException(step, learningRate);
        }

        var scale = GradientClipping.Scale(norm, _spec.MaxGradientNorm);
        await OnAllAsync(stage => stage.UpdateAsync(scale, learningRate)).ConfigureAwait(false);
        return new StepResult(step, loss, learningRate, norm, samples.Sum(sample => sample.Hidden.shape[0]), parts[0].CountedLabels, correct);
    }

    /// <summary>Adds samples, forward only and without dropout, to an evaluation; see <see cref="FineTuner.EvaluateInto"/>.</summary>
    public async Task EvaluateIntoAsync(EvaluationAccumulator accumulator, IReadOnlyList<TrainingSample> samples, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(accumulator);
        MicroBatch.Check(samples, _labelsPerToken);
        var parts = Split(step: 0, trains: false, samples, MicroBatch.Size(_spec, _spec.BatchSize));
        var reports = await ComputeAsync(parts, cancellationToken).ConfigureAwait(false);
        foreach (var (outline, head) in parts.SelectMany(part => part.MicroBatches).Zip(reports.SelectMany(replica => replica[^1].Heads)))
        {
            accumulator.Add(head, outline.Labels, outline.Lengths.Length);
        }
    }

    /// <summary>Parameters and moments of all stages in the order of the whole model; the caller disposes them.</summary>
    public async Task<TrainingState> ReadStateAsync() => TrainingState.Join(await Task.WhenAll(_replicas[0].Select(stage => stage.ReadStateAsync())).ConfigureAwait(false));

    /// <summary>Gives every stage of every replica its part of a state.</summary>
    public Task RestoreAsync(TrainingState state) => OnAllAsync(stage => stage.RestoreAsync(state));

    /// <summary>The share of each replica that has one: the first replicas get what does not divide.</summary>
    private PipelineStep[] Split(int step, bool trains, IReadOnlyList<TrainingSample> samples, int size)
    {
        var all = samples.Chunk(size)
            .Select((part, index) => (Outline: new MicroBatchOutline(index, MicroBatch.Lengths(part), MicroBatch.AllLabels(part)), Samples: part))
            .ToArray();
        var counted = all.Sum(part => part.Outline.CountedLabels);
        return [.. all.Chunk((all.Length + _replicas.Count - 1) / _replicas.Count)
            .Select(share => new PipelineStep(step, trains, [.. share.Select(part => part.Outline)], counted, [.. share.Select(part => part.Samples)]))];
    }

    /// <summary>Runs all stages at once. When one fails, the step is abandoned on all.</summary>
    private async Task<StageReport[][]> ComputeAsync(PipelineStep[] parts, CancellationToken cancellationToken)
    {
        using var abandon = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var schedules = Array.ConvertAll(parts, part => part.Schedule(_kind, _replicas[0].Count));
        var tasks = parts.Select((part, replica) => _replicas[replica].Select(stage => ComputeAsync(stage, part, schedules[replica], abandon)).ToArray()).ToArray();
        try
        {
            var reports = await Task.WhenAll(tasks.Select(Task.WhenAll)).ConfigureAwait(false);
            if (parts[0].Trains)
            {
                Timeline = PipelineTimeline.Measured(schedules[0], [.. reports[0].Select(report => report.Actions)]);
            }

            return reports;
        }
        catch
        {
            await OnAllAsync(stage => stage.AbandonAsync()).ConfigureAwait(false);

            // The others were only cancelled; what went wrong is in the one that was not.
            await (tasks.SelectMany(replica => replica).FirstOrDefault(task => task.Exception?.InnerException is not (null or OperationCanceledException)) ?? Task.CompletedTask)
                .ConfigureAwait(false);
            throw;
        }
    }

    private static async Task<StageReport> ComputeAsync(IStage stage, PipelineStep part, PipelineSchedule schedule, CancellationTokenSource abandon)
    {
        try
        {
            return await stage.ComputeAsync(part, schedule, abandon.Token).ConfigureAwait(false);
        }
        catch
        {
            await abandon.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The squares of the step's gradients by stage. With several replicas their gradients become the sum of all first.</summary>
    private async Task<double[][]> SumGradientsAsync(StageReport[][] reports)
    {
        if (_replicas.Count == 1)
        {
            return Array.ConvertAll(reports[0], report => report.GradientSquares);
        }

        return await Task.WhenAll(Enumerable.Range(0, _replicas[0].Count).Select(async stage =>
        {
            var parts = await Task.WhenAll(_replicas.Take(reports.Length).Select(replica => replica[stage].ReadGradientsAsync())).ConfigureAwait(false);
            try
            {
                Sum(parts);
                var squares = await Task.WhenAll(_replicas.Select(replica => replica[stage].WriteGradientsAsync(parts[0]))).ConfigureAwait(false);
                return squares[0];
            }
            finally
            {
                Array.ForEach(parts, part => part.Dispose());
            }
        })).ConfigureAwait(false);
    }

    /// <summary>Into the first, in order.</summary>
    private static void Sum(Tensor[] parts)
    {
        using var frozen = no_grad();
        foreach (var part in parts[1..])
        {
            _ = parts[0].AddInPlace(part);
        }
    }

    private Task OnAllAsync(Func<IStage, Task> work) => Task.WhenAll(_replicas.SelectMany(stages => stages).Select(work));
}
