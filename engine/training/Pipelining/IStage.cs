using SplitFrozen.Pipelining;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pipelining;

/// <summary>
/// A stage as whoever drives the training sees it, on a thread of this process or in another process. Calls come one after the other; those to different
/// stages may overlap.
/// </summary>
public interface IStage
{
    /// <summary>Runs the stage's actions of a schedule; parameters stay as they are, gradients are summed.</summary>
    /// <param name="step">What to do.</param>
    /// <param name="schedule">With sends and receives, for as many micro-batches as the step has.</param>
    /// <param name="cancellationToken">Another stage has failed: the step is abandoned.</param>
    Task<StageReport> ComputeAsync(PipelineStep step, PipelineSchedule schedule, CancellationToken cancellationToken);

    /// <summary>All gradients of the stage, flat; the caller owns them.</summary>
    Task<Tensor> ReadGradientsAsync();

    /// <summary>Sets the gradients, to the sum over all replicas.</summary>
    /// <param name="gradients">As from <see cref="ReadGradientsAsync"/>; stays the caller's.</param>
    /// <returns>Sum of the squares of each parameter's gradient, in order.</returns>
    Task<double[]> WriteGradientsAsync(Tensor gradients);

    /// <summary>The second phase of a step: updates the parameters.</summary>
    /// <param name="scale">Factor on the gradients.</param>
    /// <param name="learningRate">Learning rate of the step.</param>
    Task UpdateAsync(double scale, double learningRate);

    /// <summary>Drops what a step has left; the parameters are those of the step before. Nothing runs any more.</summary>
    Task AbandonAsync();

    /// <summary>Parameters and moments, by themselves or as views; the caller disposes them.</summary>
    Task<TrainingState> ReadStateAsync();

    /// <summary>Takes its own parameters' values and moments from a state of all stages.</summary>
    Task RestoreAsync(TrainingState state);
}

/// <summary>All stages of a run's trained blocks.</summary>
public abstract class StageSet : IAsyncDisposable
{
    /// <summary>Replicas, each with its stages, the lowest first; as many stages in every replica.</summary>
    public abstract IReadOnlyList<IReadOnlyList<IStage>> Replicas { get; }

    /// <inheritdoc/>
    public abstract ValueTask DisposeAsync();
}
