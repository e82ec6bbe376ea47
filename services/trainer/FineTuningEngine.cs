using System.Text;
using SplitFrozen.Pipelining;
using SplitFrozen.Tasks;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.Files;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;
using SplitFrozen.Training.Pipelining;

namespace SplitFrozen.Trainer;

/// <summary>Stages, optimisers and checkpoints of a run. Calls come one after the other.</summary>
internal sealed class FineTuningEngine(TrainerOptions options, Func<CancellationToken, Task<StageSet>> openStages, Action<string> notice) : IAsyncDisposable
{
    private readonly CheckpointFolder _checkpoints = new(options.Folder);
    private StageSet? _stages;
    private PipelinedFineTuner? _tuner;
    private LearningRateSchedule? _rates;
    private EvaluationAccumulator? _evaluation;

    /// <summary>Opens the stages and gives them what the newest good checkpoint holds.</summary>
    /// <returns>The checkpoint's position; null without one.</returns>
    public async Task<TrainingPosition?> OpenAsync(CancellationToken cancellationToken)
    {
        _stages = await openStages(cancellationToken).ConfigureAwait(false);
        var spec = options.Spec.Training;
        var kind = PipelineSchedule.FindKind(spec.Pipeline) ?? throw new TrainerException($"training.pipeline is '{spec.Pipeline}', which is no schedule.");
        _tuner = new PipelinedFineTuner(_stages, kind, spec, options.Task.Kind == TaskKind.LanguageModel);
        using var state = await _tuner.ReadStateAsync().ConfigureAwait(false);
        var position = _checkpoints.ReadLatest(state, options.RunId, notice);
        if (position is not null)
        {
            await _tuner.RestoreAsync(state).ConfigureAwait(false);
        }

        return position;
    }

    /// <summary>One optimiser step; without samples it changes nothing, and its loss is NaN.</summary>
    public async Task<StepResult> TrainAsync(PreparedStep step)
    {
        var (message, spec) = (step.Message, options.Spec.Training);
        _rates ??= LearningRateSchedule.Create(spec.Schedule, spec.LearningRate, spec.WarmupRatio, message.TotalSteps);
        return step.Samples.Length == 0
            ? new StepResult(message.Step, double.NaN, 0, 0, 0, 0, 0)
            : await _tuner!.TrainAsync(message.Step, _rates.At(message.Step), step.Samples, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>One part of an evaluation; the metrics after its last part.</summary>
    public async Task<EvaluationAccumulator?> EvaluateAsync(PreparedStep step)
    {
        if (step.Message.Part == 0)
        {
            _evaluation = new EvaluationAccumulator(options.Task);
        }

        var evaluation = _evaluation ?? throw new TrainerException($"Step message {step.Message.Sequence} continues an evaluation that has not begun.");
        if (step.Samples.Length > 0)
        {
            await _tuner!.EvaluateIntoAsync(evaluation, step.Samples, CancellationToken.None).ConfigureAwait(false);
        }

        return step.Message.Part == step.Message.Parts - 1 ? evaluation : null;
    }

    /// <summary>Writes a checkpoint of all stages as one file, flushed to the disk: whole, or not at all.</summary>
    public async Task WriteAsync(TrainingPosition position)
    {
        using var state = await _tuner!.ReadStateAsync().ConfigureAwait(false);
        await Task.Run(() => _checkpoints.Write(position, state)).ConfigureAwait(false);
    }

    /// <summary>Draws what the stages did when in the last training step, <c>timeline.svg</c>; nothing for one stage.</summary>
    public void DrawTimeline()
    {
        if (_tuner?.Timeline is { Stages.Count: > 1 } timeline)
        {
            var drawing = TimelinePlot.Draw(timeline, $"{options.RunId}: ", "seconds");
            AtomicFile.Write(Path.Combine(options.Folder, "timeline.svg"), stream => stream.Write(Encoding.UTF8.GetBytes(drawing)));
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_stages is not null)
        {
            await _stages.DisposeAsync().ConfigureAwait(false);
        }
    }
}
