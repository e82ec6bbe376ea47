using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Pipelining;
using SplitFrozen.Torch;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pipelining;

/// <summary>A stage in this process, on a compute thread of its own.</summary>
public sealed class LocalStage : IStage, IAsyncDisposable
{
    private readonly int _index;
    private readonly TimeProvider _time;
    private readonly ComputeThread _thread;
    private readonly UpperModel _model;
    private readonly PipelineStage _stage;

    private LocalStage(int index, TimeProvider time, ComputeThread thread, UpperModel model, PipelineStage stage) =>
        (_index, _time, _thread, _model, _stage) = (index, time, thread, model, stage);

    /// <summary>The stage's blocks.</summary>
    public UpperModel Model => _model;

    /// <summary>Loads the stage's blocks.</summary>
    /// <param name="folder">The base model; must stay open.</param>
    /// <param name="options">Cuts, head and adapters of the whole; narrowed to the stage here.</param>
    /// <param name="place">Which stage of how many, and its blocks.</param>
    /// <param name="spec">The optimiser, and the threads of the stage.</param>
    /// <param name="seed">Seed of the run, for dropout.</param>
    /// <param name="before">The link to the stage before; null for the first.</param>
    /// <param name="behind">The link to the stage behind; null for the last.</param>
    /// <param name="time">Clock of the reports.</param>
    public static async Task<LocalStage> OpenAsync(
        ModelFolder folder, UpperModelOptions options, StagePlace place, TrainingSpec spec, ulong seed, StageLink? before, StageLink? behind, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(place);
        ArgumentNullException.ThrowIfNull(spec);
        var thread = new ComputeThread($"stage {place.Stage + 1}", spec.Threads);
        try
        {
            return await thread.RunAsync(() =>
            {
                var model = UpperModel.Open(folder, place.Options(options));
                return new LocalStage(place.Stage, time, thread, model, new PipelineStage(place.Stage, model, spec, seed, before, behind));
            }).ConfigureAwait(false);
        }
        catch
        {
            thread.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public Task<StageReport> ComputeAsync(PipelineStep step, PipelineSchedule schedule, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(step);
        ArgumentNullException.ThrowIfNull(schedule);
        var origin = _time.GetTimestamp();
        return _thread.RunAsync(
            () =>
            {
                _stage.Begin(step);
                var actions = StageRuntime.Run(schedule.Stages[_index], _stage, _time, origin, cancellationToken);
                return new StageReport([.. _stage.Heads], step.Trains ? _stage.Optimizer.GradientSquares() : [], actions);
            },
            CancellationToken.None);
    }

    /// <inheritdoc/>
    public Task<Tensor> ReadGradientsAsync() => _thread.RunAsync(() => _stage.Optimizer.Gradients.clone());

    /// <inheritdoc/>
    public Task<double[]> WriteGradientsAsync(Tensor gradients) => _thread.RunAsync(() =>
    {
        using var frozen = no_grad();
        _ = _stage.Optimizer.Gradients.copy_(gradients);
        return _stage.Optimizer.GradientSquares();
    });

    /// <inheritdoc/>
    public Task UpdateAsync(double scale, double learningRate) => _thread.RunAsync(() => _stage.Update(scale, learningRate));

    /// <inheritdoc/>
    public Task AbandonAsync() => _thread.RunAsync(_stage.Abandon);

    /// <inheritdoc/>
    public Task<TrainingState> ReadStateAsync() => _thread.RunAsync(_stage.Optimizer.State);

    /// <inheritdoc/>
    public Task RestoreAsync(TrainingState state) => _thread.RunAsync(() => _stage.Optimizer.Restore(state));

    /// <summary>Frees the stage and its thread.</summary>
    public async ValueTask DisposeAsync()
    {
        await _thread.RunAsync(() =>
        {
            _stage.Dispose();
            _model.Dispose();
        }).ConfigureAwait(false);
        _thread.Dispose();
    }
}
