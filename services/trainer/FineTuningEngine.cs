using SplitFrozen.Contracts.Messages;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Torch;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Trainer;

/// <summary>
/// Model, optimiser and checkpoints of a run, on one compute thread. The learning-rate schedule needs the number of steps,
/// which the first step message tells; until then only the checkpoint's position is read.
/// </summary>
internal sealed class FineTuningEngine : IDisposable
{
    private readonly TrainerOptions _options;
    private readonly ComputeThread _compute;
    private readonly CheckpointFolder _checkpoints;
    private readonly Action<string> _notice;
    private UpperModel? _model;
    private FineTuner? _tuner;
    private EvaluationAccumulator? _evaluation;

    public FineTuningEngine(TrainerOptions options, Action<string> notice)
    {
        _options = options;
        _notice = notice;
        _compute = new ComputeThread("trainer", options.Spec.Training.Threads);
        _checkpoints = new CheckpointFolder(options.Folder);
    }

    /// <summary>Position of the newest good checkpoint; null without one.</summary>
    public TrainingPosition? ReadPosition() => _checkpoints.ReadLatestPosition(_options.RunId, _notice);

    /// <summary>Loads the upper model.</summary>
    public Task OpenAsync(ModelFolder folder, CancellationToken cancellationToken) => _compute.RunAsync(() => { _model = UpperModel.Open(folder, ModelOptions()); }, cancellationToken);

    /// <summary>One optimiser step; without samples it changes nothing, and its loss is NaN.</summary>
    public Task<StepResult> TrainAsync(PreparedStep step) => _compute.RunAsync(
        () =>
        {
            var (tuner, number) = (Tuner(step.Message), step.Message.Step);
            return step.Samples.Length == 0 ? new StepResult(number, double.NaN, 0, 0, 0, 0, 0) : tuner.Train(number, step.Samples);
        },
        CancellationToken.None);

    /// <summary>One part of an evaluation; the metrics after its last part.</summary>
    public Task<EvaluationAccumulator?> EvaluateAsync(PreparedStep step) => _compute.RunAsync(
        () =>
        {
            if (step.Message.Part == 0)
            {
                _evaluation = new EvaluationAccumulator(_options.Task);
            }

            var evaluation = _evaluation ?? throw new TrainerException($"Step message {step.Message.Sequence} continues an evaluation that has not begun.");
            var tuner = Tuner(step.Message);
            if (step.Samples.Length > 0)
            {
                tuner.EvaluateInto(evaluation, step.Samples);
            }

            return step.Message.Part == step.Message.Parts - 1 ? evaluation : null;
        },
        CancellationToken.None);

    /// <summary>Writes a checkpoint, flushed to the disk. Needs a step to have been handled.</summary>
    public Task WriteAsync(TrainingPosition position) => _compute.RunAsync(() => { _checkpoints.Write(position, _tuner!.Optimizer); }, CancellationToken.None);

    public void Dispose()
    {
        _compute.RunAsync(
            () =>
            {
                _tuner?.Dispose();
                _model?.Dispose();
            },
            CancellationToken.None).GetAwaiter().GetResult();
        _compute.Dispose();
    }

    private FineTuner Tuner(StepMessage first)
    {
        if (_tuner is null)
        {
            _tuner = new FineTuner(
                _model!, _options.Spec.Training, first.TotalSteps, unchecked((ulong)_options.Spec.Seed), _options.Task.Kind == TaskKind.LanguageModel);
            _checkpoints.ReadLatest(_tuner.Optimizer, _options.RunId, _notice);
        }

        return _tuner;
    }

    private UpperModelOptions ModelOptions() => RunModel.Options(_options.Spec, _options.Task.Classes) with { LowestCut = _options.LowestCut };
}
