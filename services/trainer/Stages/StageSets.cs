using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.Pipelining;

namespace SplitFrozen.Trainer.Stages;

/// <summary>Opens the stages of a run: all in this process, or shared with other trainers.</summary>
internal static class StageSets
{
    /// <summary>All in this process, as the spec says.</summary>
    public static async Task<StageSet> OpenLocalAsync(TrainerOptions options, ModelFolder model, TimeProvider time, CancellationToken cancellationToken)
    {
        var boundaries = await BoundariesAsync(options, model, options.Spec.Training.Stages, time, cancellationToken).ConfigureAwait(false);
        return await LocalStageSet.OpenAsync(model, options.ModelOptions, boundaries, options.Spec.Training, options.Seed, time).ConfigureAwait(false);
    }

    /// <summary>First block of every stage and the end of the last, as the spec says or by measured times.</summary>
    /// <exception cref="TrainerException">The blocks cannot be cut so.</exception>
    public static async Task<int[]> BoundariesAsync(TrainerOptions options, ModelFolder model, int stages, TimeProvider time, CancellationToken cancellationToken)
    {
        try
        {
            using var thread = new ComputeThread("measure blocks", options.Spec.Training.Threads);
            return await thread.RunAsync(
                () => StagePartition.Choose(model, options.ModelOptions, options.Spec.Training.StageBoundaries, stages, time), cancellationToken).ConfigureAwait(false);
        }
        catch (ArgumentException exception)
        {
            throw new TrainerException(exception.Message, exception);
        }
    }
}
