using SplitFrozen.ActivationCache;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>
/// The open runs, and a memory of them: a store that has lost its data is told again the runs that were open when it was last read.
/// What this process has not read, and the events so far, are lost with the store. Not thread-safe.
/// </summary>
internal sealed class KnownRuns(RedisRunStore store, ILogger<KnownRuns> logger)
{
    // More than could have been appended since the events were last counted.
    private const long EventGap = 1 << 20;

    private readonly Dictionary<string, (StoredRun Run, long Events)> _known = [];

    /// <summary>Reads the open runs.</summary>
    /// <param name="restore">Whether runs that the store has lost are added to it again: for the active coordinator alone.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    public async Task<IReadOnlyList<StoredRun>> OpenAsync(bool restore, CancellationToken cancellationToken)
    {
        var open = (await store.ListOpenAsync(cancellationToken).ConfigureAwait(false)).ToDictionary(run => run.RunId);
        foreach (var (runId, (run, events)) in _known.Where(known => !open.ContainsKey(known.Key)).ToArray())
        {
            if (await store.FindAsync(runId, cancellationToken).ConfigureAwait(false) is not null
                || await store.WasDeletedAsync(runId, cancellationToken).ConfigureAwait(false))
            {
                _known.Remove(runId);
            }
            else if (restore && await store.RestoreAsync(run, events + EventGap, cancellationToken).ConfigureAwait(false))
            {
                logger.LogWarning("The store had lost run {Run}; it goes on from what the processes know", runId);
                open.Add(runId, run);
            }
        }

        foreach (var run in open.Values)
        {
            _known[run.RunId] = (run, await store.CountEventsAsync(run.RunId, cancellationToken).ConfigureAwait(false));
        }

        return [.. open.Values];
    }
}
