using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Coordinator.Devices;

/// <summary>Who the clients of a run are. The one place that says so.</summary>
internal static class RunClients
{
    /// <summary>True for a run whose clients are the devices that hold data of their own.</summary>
    public static bool AreDevices(RunSpec spec) => spec.Clients.Partition == ClientPartitions.Devices;

    /// <summary>
    /// The clients' names, <c>evaluation</c> last: <c>client-1</c> to <c>client-n</c> as the spec has it; for devices, those that the run's record
    /// has, and null while they are not chosen.
    /// </summary>
    public static IReadOnlyList<string>? Names(StoredRun run)
    {
        if (!AreDevices(run.Spec))
        {
            return [.. Enumerable.Range(0, run.Spec.Clients.Count).Select(ClientNames.Of), ClientNames.Evaluation];
        }

        var chosen = run.Clients.Select(client => client.ClientId).Where(client => client != ClientNames.Evaluation).ToArray();
        return chosen.Length == 0 ? null : [.. chosen, ClientNames.Evaluation];
    }

    /// <summary>The clients of a run over devices: the first of those that are alive, by name; null while there are too few.</summary>
    public static IReadOnlyList<string>? Choose(RunSpec spec, IReadOnlyList<KnownDevice> live)
    {
        var own = live.Where(IsClient).Select(device => device.Device).Order(StringComparer.Ordinal).Take(spec.Clients.Count).ToArray();
        return own.Length < spec.Clients.Count ? null : [.. own, ClientNames.Evaluation];
    }

    /// <summary>Whether a device can be a client itself; one that calls itself <c>evaluation</c> cannot.</summary>
    public static bool IsClient(KnownDevice device) => device.HasOwnData && device.Device != ClientNames.Evaluation;
}
