using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator;

/// <summary>
/// What becomes of samples that do not come: a run that stands still because clients are away, or were refused, waits for
/// <see cref="CoordinatorOptions.ClientDeadline"/>; then it stops, or goes on without their samples. A device that is there and slow is
/// waited for without limit. Not thread-safe.
/// </summary>
/// <param name="options">The run.</param>
/// <param name="directory">Its samples.</param>
/// <param name="assigner">What is asked for.</param>
/// <param name="control">Tells what failed.</param>
/// <param name="ledger">Keeps what failed.</param>
/// <param name="isServed">Whether a device that is alive serves a client.</param>
/// <param name="time">Clock of the deadline.</param>
internal sealed class MissingSamples(
    CoordinatorOptions options, SampleDirectory directory, WorkAssigner assigner, IControlPlane control, IRunLedger ledger, Func<string, bool> isServed, TimeProvider time)
{
    private readonly Dictionary<string, string> _refusals = [];
    private readonly HashSet<string> _unwelcome = [];
    private long _lastProgress = time.GetTimestamp();

    /// <summary>Samples came in, or a step was handled.</summary>
    public void Progressed() => _lastProgress = time.GetTimestamp();

    /// <summary>A message of a client was refused; the reason is told when its samples fail.</summary>
    public void Refused(string clientId, string reason) => _refusals[clientId] = reason;

    /// <summary>A client may not register as it is, so that nothing of it can be expected.</summary>
    public void Unwelcome(string clientId, string reason)
    {
        Refused(clientId, reason);
        _unwelcome.Add(clientId);
    }

    /// <summary>A client has registered.</summary>
    public void Welcome(string clientId) => _unwelcome.Remove(clientId);

    /// <summary>The samples that the run goes on without from now on, because their clients stayed away for too long.</summary>
    /// <exception cref="CoordinatorException">They did, and the run stops for it.</exception>
    public async Task<IReadOnlyList<SampleEntry>> GiveUpAsync(CancellationToken cancellationToken)
    {
        if (options.ClientDeadline is not { } deadline || time.GetElapsedTime(_lastProgress) < deadline)
        {
            return [];
        }

        string[] away = [.. assigner.Owing.Where(client => !assigner.IsPresent(client) || !isServed(client) || _unwelcome.Contains(client))];
        if (away.Length == 0)
        {
            return [];
        }

        if (!options.CompleteWithoutMissing)
        {
            throw new CoordinatorException(
                $"Run '{options.RunId}': for {deadline} nothing has come from {away.Length} of its clients, and the run waits for samples of theirs: "
                + $"{string.Join("; ", away.Take(3).Select(client => $"'{client}' {Reason(client)}"))}{(away.Length > 3 ? "; …" : "")}. "
                + "Start their device workers, then resume the run; or set clients.missing to complete.");
        }

        Progressed();
        var failed = new List<SampleEntry>();
        foreach (var client in away)
        {
            var entries = directory.Samples.Where(entry => entry.Client.Id == client && entry.State is not (SampleState.Cached or SampleState.Failed)).ToArray();
            await FailAsync(client, entries, Reason(client), cancellationToken).ConfigureAwait(false);
            failed.AddRange(entries);
        }

        return failed;
    }

    /// <summary>A sample was asked for too often.</summary>
    /// <exception cref="CoordinatorException">The run stops for it.</exception>
    public async Task GiveUpAsync(SampleEntry entry, CancellationToken cancellationToken)
    {
        var client = entry.Client.Id;
        var reason = $"was asked {entry.Attempts} times for sample {entry.Id}, and it never arrived; "
            + (_refusals.TryGetValue(client, out var refusal) ? $"the last message was refused: {refusal}" : "no message came");
        if (!options.CompleteWithoutMissing)
        {
            throw new CoordinatorException($"Run '{options.RunId}': client '{client}' {reason}");
        }

        await FailAsync(client, [entry], reason, cancellationToken).ConfigureAwait(false);
    }

    private async Task FailAsync(string client, SampleEntry[] entries, string reason, CancellationToken cancellationToken)
    {
        await ledger.RecordFailedAsync(options.RunId, [.. entries.Select(entry => entry.Id.Value)], cancellationToken).ConfigureAwait(false);
        foreach (var entry in entries)
        {
            assigner.Fail(entry);
        }

        var failedInRun = directory.Samples.Count(entry => entry.State == SampleState.Failed);
        await control.PublishAsync(new SamplesFailed(options.RunId, client, entries.Length, failedInRun, reason), cancellationToken).ConfigureAwait(false);
        if (directory.Samples.All(entry => entry.Id.IsEvaluation || entry.State == SampleState.Failed))
        {
            throw new CoordinatorException($"Run '{options.RunId}': all training samples have failed; the last client, '{client}', {reason}");
        }
    }

    private string Reason(string client) => _unwelcome.Contains(client) ? $"was refused: {_refusals[client]}"
        : isServed(client) ? "has not registered"
        : "has no device worker";
}
