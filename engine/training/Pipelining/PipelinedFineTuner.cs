using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Pipelining;
using SplitFrozen.Torch;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;

namespace SplitFrozen.Training.Pipelining;

/// <summary>
/// Fine-tuning over several stages in one process, each with a compute thread of its own. A step is committed in two phases: all stages
/// compute, then all update, or none does. Gives the bits of <see cref="FineTuner"/> with the same micro-batches. Not thread-safe.
/// </summary>
public sealed class PipelinedFineTuner : IAsyncDisposable
{
    private readonly TrainingSpec _spec;
    private readonly PipelineScheduleKind _kind;
    private readonly TimeProvider _time;
    private readonly LearningRateSchedule _schedule;
    private readonly InProcessStageLink[] _links;
    private readonly ComputeThread[] _threads;
    private readonly UpperModel[] _models;
    private readonly PipelineStage[] _stages;

    private PipelinedFineTuner(
        TrainingSpec spec, PipelineScheduleKind kind, int totalSteps, TimeProvider time, InProcessStageLink[] links, ComputeThread[] threads, UpperModel[] models, PipelineStage[] stages)
    {
        (_time, _spec, _kind, _links, _threads, _models, _stages) = (time, spec, kind, links, threads, models, stages);
        _schedule = LearningRateSchedule.Create(spec.Schedule, spec.LearningRate, spec.WarmupRatio, totalSteps);
    }

    /// <summary>Parameters and moments of every stage, the lowest first; together those of the whole model in its order.</summary>
    public IEnumerable<AdamW> Optimizers => _stages.Select(stage => stage.Optimizer);

    /// <summary>What the stages did when in the last step; null before the first.</summary>
    public PipelineTimeline? Timeline { get; private set; }

    /// <summary>The stages' models, the lowest first.</summary>
    public IReadOnlyList<UpperModel> Models => _models;

    /// <summary>Loads every stage's blocks.</summary>
    /// <param name="folder">The base model; must stay open.</param>
    /// <param name="options">Cuts, head and adapters of the whole; its end is set by stage.</param>
    /// <param name="boundaries">First block of every stage and the end of the last, see <see cref="StagePartition.Balanced"/>.</param>
    /// <param name="kind">The schedule.</param>
    /// <param name="spec">Batching, optimiser and schedule of the learning rate.</param>
    /// <param name="totalSteps">Steps of the whole run, for the learning rate.</param>
    /// <param name="seed">Seed of the run, for dropout.</param>
    /// <param name="time">Clock of <see cref="Timeline"/>.</param>
    /// <param name="threads">OpenMP threads of each stage.</param>
    public static async Task<PipelinedFineTuner> OpenAsync(
        ModelFolder folder, UpperModelOptions options, IReadOnlyList<int> boundaries, PipelineScheduleKind kind, TrainingSpec spec, int totalSteps, ulong seed, TimeProvider time, int threads = 1)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(boundaries);
        ArgumentNullException.ThrowIfNull(spec);
        var count = boundaries.Count - 1;
        InProcessStageLink[] links = [.. Enumerable.Range(0, count - 1).Select(_ => new InProcessStageLink())];
        ComputeThread[] computing = [.. Enumerable.Range(0, count).Select(stage => new ComputeThread($"stage {stage + 1}", threads))];
        var (models, stages) = (new UpperModel[count], new PipelineStage[count]);
        var opened = new PipelinedFineTuner(spec, kind, totalSteps, time, links, computing, models, stages);
        try
        {
            for (var stage = 0; stage < count; stage++)
            {
                var index = stage;
                await computing[index].RunAsync(() =>
                {
                    models[index] = UpperModel.Open(folder, StageOptions(options, boundaries, index));
                    stages[index] = new PipelineStage(models[index], spec, seed, index == 0 ? null : links[index - 1], index == count - 1 ? null : links[index]);
                }).ConfigureAwait(false);
            }

            return opened;
        }
        catch
        {
            await opened.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The part of a model's options that is a stage's.</summary>
    /// <param name="options">The whole.</param>
    /// <param name="boundaries">First block of every stage and the end of the last.</param>
    /// <param name="stage">The stage, from 0.</param>
    public static UpperModelOptions StageOptions(UpperModelOptions options, IReadOnlyList<int> boundaries, int stage)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(boundaries);
        return stage == 0
            ? options with { End = boundaries[1] }
            : options with { LowestCut = boundaries[stage], Boundary = boundaries[stage], End = boundaries[stage + 1], GradientAtBoundary = true };
    }

    /// <summary>One optimiser step over all stages; see <see cref="FineTuner.Train"/>.</summary>
    /// <exception cref="TrainingDivergedException">The loss or its gradient is not finite; the parameters are those of the step before.</exception>
    public async Task<StepResult> TrainAsync(int step, IReadOnlyList<TrainingSample> samples, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(samples);
        var work = new PipelineStep(step, [.. samples.Chunk(MicroBatch.Size(_spec, samples.Count))]);
        var schedule = CommunicationPass.Insert(PipelineSchedule.Create(new ScheduleRequest(_kind, _stages.Length, work.MicroBatches.Count)));
        Timeline = await ComputeAsync(work, schedule, cancellationToken).ConfigureAwait(false);
        var (result, learningRate) = (_stages[^1].Result, _schedule.At(step));
        var squares = await OnAllAsync(stage => stage.Optimizer.GradientSquares()).ConfigureAwait(false);
        var norm = GradientClipping.Norm(squares.SelectMany(part => part));
        if (!double.IsFinite(result.Loss) || !double.IsFinite(norm))
        {
            await AbandonAsync().ConfigureAwait(false);
            throw new TrainingDivergedException(step, learningRate);
        }

        var scale = GradientClipping.Scale(norm, _spec.MaxGradientNorm);
        await OnAllAsync(stage => stage.Update(scale, learningRate)).ConfigureAwait(false);
        return new StepResult(step, result.Loss, learningRate, norm, samples.Sum(sample => sample.Hidden.shape[0]), work.CountedLabels, result.CorrectPredictions);
    }

    /// <summary>Frees stages, models and threads.</summary>
    public async ValueTask DisposeAsync()
    {
        for (var stage = 0; stage < _stages.Length; stage++)
        {
            var index = stage;
            await _threads[index].RunAsync(() =>
            {
                // Where opening failed, the last ones are not there.
                _stages[index]?.Dispose();
                _models[index]?.Dispose();
            }).ConfigureAwait(false);
            _threads[index].Dispose();
        }

        Array.ForEach(_links, link => link.Dispose());
    }

    /// <summary>Forward and backward on all stages at once. When one fails, the step is abandoned on all.</summary>
    private async Task<PipelineTimeline> ComputeAsync(PipelineStep work, PipelineSchedule schedule, CancellationToken cancellationToken)
    {
        using var abandon = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var origin = _time.GetTimestamp();
        var tasks = _stages.Select((stage, index) => _threads[index].RunAsync(
            () =>
            {
                try
                {
                    stage.Begin(work);
                    return StageRuntime.Run(schedule.Stages[index], stage, _time, origin, abandon.Token);
                }
                catch
                {
                    abandon.Cancel();
                    throw;
                }
            },
            CancellationToken.None)).ToArray();
        try
        {
            return PipelineTimeline.Measured(schedule, await Task.WhenAll(tasks).ConfigureAwait(false));
        }
        catch
        {
            await AbandonAsync().ConfigureAwait(false);

            // The others were only cancelled; what went wrong is in the one that was not.
            await (tasks.FirstOrDefault(task => task.Exception?.InnerException is not (null or OperationCanceledException)) ?? Task.CompletedTask).ConfigureAwait(false);
            throw;
        }
    }

    private async Task AbandonAsync()
    {
        await OnAllAsync(stage => stage.Abandon()).ConfigureAwait(false);
        Array.ForEach(_links, link => link.Clear());
    }

    private Task OnAllAsync(Action<PipelineStage> work) => Task.WhenAll(_stages.Select((stage, index) => _threads[index].RunAsync(() => work(stage))));

    private Task<T[]> OnAllAsync<T>(Func<PipelineStage, T> work) => Task.WhenAll(_stages.Select((stage, index) => _threads[index].RunAsync(() => work(stage))));
}
