using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Comparison.Fleet.Tests.Costs;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Comparison.Fleet.Tests.Simulation;

/// <summary>Fleets and workloads whose times are easily told.</summary>
internal static class Fleets
{
    public static SimulatedDevice Device(double gigaflops, double uplink = 1e6, double downlink = 4e6, double latency = 0) =>
        new("device", new DeviceProfile(gigaflops, 4L << 30, uplink), downlink, TimeSpan.FromSeconds(latency));

    /// <summary>Clients that hold whole batches of samples of 20 tokens: every step costs the same.</summary>
    public static Workload Uniform(int clients, int batches, int epochs = 1) => Workloads.Classification(Workloads.SampleModel, boundary: 2, epochs: epochs) with
    {
        Clients = [.. Enumerable.Range(0, clients).Select(_ => Enumerable.Repeat(new SampleSize(20, 1), 8 * batches).ToArray())],
        BatchSize = 8,
        MessageSamples = 8,
        AveragingSteps = 2,
    };

    /// <summary>A workload and a fleet drawn at random: 1 to 5 devices of very different speed with 0 to 40 samples.</summary>
    public static (Workload Workload, SimulatedFleet Fleet) Random(ulong seed)
    {
        var random = SeededRandom.ForStream(seed, "fleet");
        var count = 1 + random.NextInt32(5);
        var clients = Enumerable.Range(0, count).Select(_ => Enumerable.Range(0, random.NextInt32(41)).Select(_ => new SampleSize(1 + random.NextInt32(60), 1)).ToArray()).ToArray();
        clients[0] = [.. clients[0], new SampleSize(9, 1)];
        var workload = Uniform(1, 1, epochs: 1 + random.NextInt32(3)) with { Clients = clients, MessageSamples = 1 + random.NextInt32(12), Boundary = 1 + random.NextInt32(5) };
        var devices = Enumerable.Range(0, count).Select(_ => Device(Spread(0.5, 100), Spread(1e5, 1e8), Spread(1e5, 1e8), 0.05 * random.NextDouble())).ToArray();
        return (workload, new SimulatedFleet(devices, new SimulatedServer { GigaflopsPerSecond = Spread(2, 500), StepSeconds = 0.01 * random.NextDouble() }));

        double Spread(double from, double to) => from * Math.Pow(to / from, random.NextDouble());
    }
}
