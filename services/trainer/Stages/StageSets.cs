using Microsoft.Extensions.Logging;
using SplitFrozen.Messaging;
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

    /// <summary>Shared with other trainers, this one being the first stage of the first replica.</summary>
    public static async Task<StageSet> GatherAsync(
        TrainerOptions options, ModelFolder model, StageRole role, IControlPlane control, IStageMailboxes mailboxes, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        var boundaries = await BoundariesAsync(options, model, role.Stages, time, cancellationToken).ConfigureAwait(false);
        return await StageSession.GatherAsync(new StageSessionSetup(options, model, role, boundaries, control, mailboxes, time, logger), cancellationToken).ConfigureAwait(false);
    }

    private static async Task<int[]> BoundariesAsync(TrainerOptions options, ModelFolder model, int stages, TimeProvider time, CancellationToken cancellationToken)
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
