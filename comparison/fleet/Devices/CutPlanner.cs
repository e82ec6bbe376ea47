using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Contracts.Cuts;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Devices;

/// <summary>
/// Chooses cuts for a fleet. Devices and trainer overlap, so a run lasts about as long as the busiest of them, and a lower cut moves work from its
/// device to the server's catch-up. The best cuts make <c>max(slowest device, server)</c> least, within every device's memory; the time of a
/// device is that of <see cref="CutCost"/>.
/// </summary>
public sealed class CutPlanner
{
    private readonly Workload _workload;
    private readonly SimulatedFleet _fleet;
    private readonly CutCost _cost;
    private readonly long[] _tokens;
    private readonly int _deviceEpochs;
    private readonly double _trainingSeconds;
    private readonly double[] _catchUpSeconds;

    /// <summary>Prepares the choice.</summary>
    /// <param name="workload">The workload; its own cuts are not looked at.</param>
    /// <param name="fleet">The fleet.</param>
    /// <param name="cached">Whether devices compute in the first epoch only. The server catches up in every one.</param>
    public CutPlanner(Workload workload, SimulatedFleet fleet, bool cached)
    {
        ArgumentNullException.ThrowIfNull(workload);
        ArgumentNullException.ThrowIfNull(fleet);
        (_workload, _fleet) = (workload, fleet);
        var config = workload.Model;
        var weights = ModelFlops.LinearWeights(config);
        _cost = new CutCost(
            sizeof(float) * (long)config.Width * (config.VocabularySize + (config.Family == ModelFamily.Gpt2 ? config.MaximumPositions : 0)),
            sizeof(float) * weights, 2e-9 * weights, workload.WireType.BytesPerToken(config.Width));
        _tokens = [.. workload.Clients.Select(client => client.Sum(sample => (long)sample.Tokens))];
        _deviceEpochs = cached ? 1 : workload.Epochs;
        var rate = fleet.Server.GigaflopsPerSecond * 1e9;
        _trainingSeconds = new CostModel(workload with { Cuts = [] }).Cost(FineTuningMethod.SplitFrozen).ServerFlops / rate;
        _catchUpSeconds = [.. workload.Clients.Select(client => workload.Epochs * ModelFlops.BlockForward(config, client.Select(sample => sample.Tokens)) / rate)];
    }

    /// <summary>The deepest cut that each device's memory takes.</summary>
    public int[] Deepest() => [.. _fleet.Devices.Select(device => _cost.DeepestFitting(device.Profile.MemoryBytes, _workload.Boundary))];

    /// <summary>A cut for each device, so that the busiest of devices and server is least busy.</summary>
    public int[] PerDevice()
    {
        // Whatever the best time of the slowest device is, within it every device's deepest cut leaves the server least to do.
        var deepest = Deepest();
        var times = deepest.SelectMany((limit, client) => Enumerable.Range(0, limit + 1).Select(cut => DeviceSeconds(client, cut))).Distinct();
        return times.Select(time => deepest.Select((limit, client) => DeepestWithin(client, limit, time)).ToArray()).MinBy(BusiestSeconds)!;
    }

    /// <summary>One cut for all devices, which the smallest of them can hold, so that the busiest of devices and server is least busy.</summary>
    public int[] Common() => Enumerable.Range(0, Deepest().Min() + 1)
        .Select(cut => Enumerable.Repeat(cut, _fleet.Devices.Count).ToArray()).MinBy(BusiestSeconds)!;

    /// <summary>Seconds that the busiest of devices and server works.</summary>
    public double BusiestSeconds(int[] cuts)
    {
        ArgumentNullException.ThrowIfNull(cuts);
        var devices = cuts.Select((cut, client) => DeviceSeconds(client, cut)).Max();
        var server = _trainingSeconds + cuts.Select((cut, client) => (_workload.Boundary - cut) * _catchUpSeconds[client]).Sum();
        return Math.Max(devices, server);
    }

    private int DeepestWithin(int client, int limit, double seconds) => Enumerable.Range(0, limit + 1).LastOrDefault(cut => DeviceSeconds(client, cut) <= seconds);

    private double DeviceSeconds(int client, int cut) => _deviceEpochs * _tokens[client] * _cost.SecondsPerToken(_fleet.Devices[client].Profile, cut);
}
