namespace SplitFrozen.Coordinator.Devices;

/// <summary>
/// Deals a run's clients to devices: evenly, and so that a client stays where it is as long as it can. A device that comes takes its share from
/// those that have more than theirs. Dealing again what was dealt changes nothing. A pure function.
/// </summary>
public static class ClientDealer
{
    /// <summary>Deals.</summary>
    /// <param name="clients">The run's clients.</param>
    /// <param name="current">Device of each client that has one.</param>
    /// <param name="live">Devices that are alive.</param>
    /// <param name="isAwaited">True for a device that is not alive but whose clients are kept for it; while there is one, no device gives any up.</param>
    /// <returns>Device of each client; clients are missing where no device is alive.</returns>
    public static IReadOnlyDictionary<string, string> Deal(
        IReadOnlyList<string> clients, IReadOnlyDictionary<string, string> current, IReadOnlyCollection<string> live, Func<string, bool> isAwaited)
    {
        var load = live.ToDictionary(device => device, _ => 0);
        string[] awaited = [.. current.Values.Where(device => !load.ContainsKey(device) && isAwaited(device)).Distinct()];
        foreach (var device in awaited)
        {
            load.Add(device, 0);
        }

        if (load.Count == 0)
        {
            return new Dictionary<string, string>();
        }

        // So many devices may have one more than the share.
        var (share, more) = awaited.Length > 0 ? (int.MaxValue, 0) : Math.DivRem(clients.Count, load.Count);
        var dealt = new Dictionary<string, string>(clients.Count);
        foreach (var client in clients)
        {
            if (current.TryGetValue(client, out var device) && load.TryGetValue(device, out var clientsOfDevice)
                && (clientsOfDevice < share || (clientsOfDevice == share && more-- > 0)))
            {
                dealt.Add(client, device);
                load[device]++;
            }
        }

        // An awaited device keeps what it has and gets nothing new.
        var open = new PriorityQueue<string, (int Load, string Name)>(
            live.Select(device => (device, (load[device], device))),
            Comparer<(int Load, string Name)>.Create((left, right) =>
                left.Load != right.Load ? left.Load.CompareTo(right.Load) : string.CompareOrdinal(left.Name, right.Name)));
        foreach (var client in clients.Where(client => !dealt.ContainsKey(client)))
        {
            if (open.TryDequeue(out var device, out var place))
            {
                dealt.Add(client, device);
                open.Enqueue(device, (place.Load + 1, device));
            }
        }

        return dealt;
    }
}
