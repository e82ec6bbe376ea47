using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;

namespace SplitFrozen.Trainer.Hosting;

/// <summary>What a <see cref="TrainerRun"/> works with besides the run itself.</summary>
internal sealed record TrainerServices(
    IControlPlane Control, IStepSource Steps, IStageMailboxes Stages, IActivationCache Cache, RedisLeases Leases, RedisArtifactStore Artifacts, TimeProvider Time, ILoggerFactory Loggers);

/// <summary>Takes up offered runs: lease first, then the folder, then model and data.</summary>
internal sealed class TrainerRunFactory(IOptions<TrainerHostOptions> options, TrainerServices services, ILogger<TrainerRunFactory> logger)
{
    /// <summary>Takes the run; null where another trainer has it or still writes its folder.</summary>
    /// <exception cref="TrainerException">The run cannot be opened here; it has been told to everybody.</exception>
    public async Task<TrainerRun?> TryTakeAsync(RunOffered offer, CancellationToken cancellationToken)
    {
        var settings = options.Value;
        var owner = $"{settings.Name}/{Guid.NewGuid():N}";
        if (await services.Leases.TryTakeAsync($"trainer:{offer.RunId}", owner, settings.LeaseTime, cancellationToken).ConfigureAwait(false) is not { } lease)
        {
            return null;
        }

        RunFolderLock? folder = null;
        try
        {
            var path = Path.Combine(settings.Folder, offer.RunId);
            folder = RunFolderLock.TryTake(path);
            if (folder is null)
            {
                logger.LogWarning("Run {Run}: another trainer still writes {Folder}; trying again with the next offer", offer.RunId, path);
                await services.Leases.ReleaseAsync(lease, CancellationToken.None).ConfigureAwait(false);
                return null;
            }

            var opened = await Task.Run(() => OpenedRun.Open(offer.Spec), cancellationToken).ConfigureAwait(false);
            logger.LogInformation("Run {Run}: taken by {Trainer}, epoch {Epoch}", offer.RunId, settings.Name, lease.Epoch);
            return new TrainerRun(offer.RunId, settings, path, opened, lease, folder, services);
        }
        catch (Exception exception)
        {
            folder?.Dispose();
            await services.Leases.ReleaseAsync(lease, CancellationToken.None).ConfigureAwait(false);
            if (exception is TrainerException)
            {
                await services.Control.PublishAsync(new RunFailed(offer.RunId, exception.Message), CancellationToken.None).ConfigureAwait(false);
            }

            throw;
        }
    }
}
