using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator;

/// <summary>
/// Tells what was refused, without letting a sender who floods its queue flood the log, the control plane and the store as well: of each
/// client the first message, the second, the fourth, the eighth, and so on. Thread-safe.
/// </summary>
internal sealed class Refusals(string runId, IControlPlane control, ILogger logger)
{
    private const int MaximumClients = 4096;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _counts = [];

    /// <summary>Counts a refused message, and tells it when its turn has come.</summary>
    /// <param name="clientId">Whose message.</param>
    /// <param name="what">What was refused, for the log, for example "a message".</param>
    /// <param name="reason">Why.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Whether it was told.</returns>
    public async Task<bool> TellAsync(string clientId, string what, string reason, CancellationToken cancellationToken)
    {
        var count = Count(clientId);
        if (!long.IsPow2(count))
        {
            return false;
        }

        logger.LogWarning("Refused {What} of client {Client}: {Reason} ({Count} so far)", what, clientId, reason, count);
        await control.PublishAsync(new MessageRejected(runId, clientId, reason, count - (count / 2)), cancellationToken).ConfigureAwait(false);
        return true;
    }

    private long Count(string clientId)
    {
        lock (_gate)
        {
            // Names that nobody knows can be made up without end; beyond the bound they count as one.
            var key = _counts.Count < MaximumClients || _counts.ContainsKey(clientId) ? clientId : "";
            return _counts[key] = _counts.GetValueOrDefault(key) + 1;
        }
    }
}
