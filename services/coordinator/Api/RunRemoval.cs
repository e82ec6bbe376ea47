using SplitFrozen.ActivationCache;
using SplitFrozen.Coordinator.Devices;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator.Api;

/// <summary>
/// Deletes a run that has ended with all that it left at broker and store. Activations stay: they are kept by content, for every run on the same
/// model. What breaks off in the middle is done again by the same request.
/// </summary>
internal sealed class RunRemoval(RedisRunStore store, RedisArtifactStore artifacts, IRunLedger ledger, IRunQueues queues)
{
    /// <summary>Deletes it; false when its end is not recorded yet.</summary>
    public async Task<bool> TryDeleteAsync(StoredRun run, CancellationToken cancellationToken)
    {
        if (!await store.TryBeginDeletionAsync(run.RunId, cancellationToken).ConfigureAwait(false))
        {
            return false;
        }

        await queues.DeleteRunAsync(run.RunId, RunClients.Names(run) ?? [], cancellationToken).ConfigureAwait(false);
        await artifacts.DeleteAsync(run.RunId, cancellationToken).ConfigureAwait(false);
        await ledger.DeleteAsync(run.RunId, cancellationToken).ConfigureAwait(false);
        await store.DeleteAsync(run.RunId, cancellationToken).ConfigureAwait(false);
        return true;
    }
}
