using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>A device of the simulation.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Profile">Sustained GFLOP/s (f32), memory, uplink: what a real device worker tells the coordinator.</param>
/// <param name="DownlinkBytesPerSecond">Downlink.</param>
/// <param name="Latency">One way to the server.</param>
public sealed record SimulatedDevice(string Name, DeviceProfile Profile, double DownlinkBytesPerSecond, TimeSpan Latency);

/// <summary>The server of the simulation: one trainer, or several stages of equal speed that hold equal shares of the trained blocks.</summary>
public sealed record SimulatedServer
{
    /// <summary>Sustained GFLOP/s of one stage.</summary>
    public required double GigaflopsPerSecond { get; init; }

    /// <summary>Bytes per second that the server takes in from all devices together.</summary>
    public double IngressBytesPerSecond { get; init; } = double.PositiveInfinity;

    /// <summary>Bytes per second that it sends to all devices together.</summary>
    public double EgressBytesPerSecond { get; init; } = double.PositiveInfinity;

    /// <summary>Stages of the trained part, at least 1.</summary>
    public int Stages { get; init; } = 1;

    /// <summary>Micro-batches of a step, at least 1; they overlap where there are several stages.</summary>
    public int MicroBatches { get; init; } = 1;

    /// <summary>What a step costs beyond its passes: optimiser, bookkeeping.</summary>
    public double StepSeconds { get; init; }

    /// <summary>What a message costs at intake beyond its bytes.</summary>
    public double MessageSeconds { get; init; }
}

/// <summary>Devices and a server; client i of a workload is on device i.</summary>
/// <param name="Devices">The devices.</param>
/// <param name="Server">The server.</param>
public sealed record SimulatedFleet(IReadOnlyList<SimulatedDevice> Devices, SimulatedServer Server);

/// <summary>
/// The devices and links of a fleet as stations. A message occupies the device's uplink, travels for the latency, and then occupies the
/// server's shared link; the other way round the same.
/// </summary>
internal sealed class FleetStations
{
    private readonly VirtualClock _clock;
    private readonly SimulatedFleet _fleet;
    private readonly Station[] _compute;
    private readonly Station[] _uplinks;
    private readonly Station[] _downlinks;
    private readonly Station _in;
    private readonly Station _out;

    internal FleetStations(VirtualClock clock, List<Activity> timeline, SimulatedFleet fleet)
    {
        (_clock, _fleet) = (clock, fleet);
        _compute = Make("");
        _uplinks = Make(" uplink");
        _downlinks = Make(" downlink");
        _in = new Station(clock, timeline, "server in");
        _out = new Station(clock, timeline, "server out");

        Station[] Make(string part) => [.. Enumerable.Range(1, fleet.Devices.Count).Select(number => new Station(clock, timeline, $"device-{number}{part}"))];
    }

    internal void Compute(int client, long flops, ActivityKind kind, int step, Action done) =>
        _compute[client].Submit(new Job(flops / (_fleet.Devices[client].Profile.GigaflopsPerSecond * 1e9), kind, client, step, done));

    internal void Upload(int client, long bytes, int step, Action arrived)
    {
        var device = _fleet.Devices[client];
        var receive = new Job((bytes / _fleet.Server.IngressBytesPerSecond) + _fleet.Server.MessageSeconds, ActivityKind.Receive, client, step, arrived);
        _uplinks[client].Submit(new Job(
            bytes / device.Profile.UplinkBytesPerSecond, ActivityKind.Upload, client, step, () => _clock.After(device.Latency.TotalSeconds, () => _in.Submit(receive, step))));
    }

    internal void Download(int client, long bytes, int step, Action arrived)
    {
        var device = _fleet.Devices[client];
        var receive = new Job(bytes / device.DownlinkBytesPerSecond, ActivityKind.Download, client, step, arrived);
        _out.Submit(new Job(
            bytes / _fleet.Server.EgressBytesPerSecond, ActivityKind.Send, client, step,
            () => _clock.After(device.Latency.TotalSeconds, () => _downlinks[client].Submit(receive))));
    }
}
