using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Simulation;

namespace SplitFrozen.Comparison.Fleet.Tests.Simulation;

/// <summary>What holds for every fleet and workload, over random ones.</summary>
public sealed class SimulationPropertyTests
{
    private const int Cases = 60;
    private const double Rounding = 1 + 1e-9;

    public static TheoryData<FineTuningMethod> Methods => [.. Enum.GetValues<FineTuningMethod>()];

    [Theory]
    [MemberData(nameof(Methods))]
    public void Run_IsBoundedByItsSlowestResourceAndByDoingOneThingAtATime(FineTuningMethod method)
    {
        for (var seed = 0UL; seed < Cases; seed++)
        {
            var (workload, fleet) = Fleets.Random(seed);
            var run = new FleetSimulator(workload, fleet).Run(method);
            var busy = run.Busy();
            var travels = run.Timeline.Count(activity => activity.Kind is ActivityKind.Upload or ActivityKind.Download);
            Assert.InRange(
                run.Seconds, busy.Values.Max() / Rounding,
                (busy.Values.Sum() + (travels * fleet.Devices.Max(device => device.Latency.TotalSeconds))) * Rounding);
            Assert.Equal(workload.Epochs, run.EpochEnds.Count);
            var last = run.Timeline.Max(activity => activity.End);
            Assert.InRange(run.Seconds, last, last + fleet.Devices.Max(device => device.Latency.TotalSeconds));
        }
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Timeline_HasNoResourceTwiceAtOnce_AndAllTheWorkOfTheCostModel(FineTuningMethod method)
    {
        for (var seed = 0UL; seed < Cases; seed++)
        {
            var (workload, fleet) = Fleets.Random(seed);
            var run = new FleetSimulator(workload, fleet).Run(method);
            foreach (var resource in run.Timeline.GroupBy(activity => activity.Resource))
            {
                var ordered = resource.OrderBy(activity => activity.Start).ToArray();
                Assert.All(ordered.Zip(ordered.Skip(1)), pair => Assert.True(pair.First.End <= pair.Second.Start * Rounding));
            }

            var cost = new CostModel(workload).Cost(method);
            for (var client = 0; client < cost.Clients.Count; client++)
            {
                var compute = run.Timeline.Where(activity => activity.Client == client && activity.Kind is ActivityKind.DeviceForward or ActivityKind.DeviceBackward);
                AssertClose(cost.Clients[client].Flops / 1e9 / fleet.Devices[client].Profile.GigaflopsPerSecond, compute.Sum(activity => activity.Seconds));
            }

            var server = run.Timeline.Where(activity => activity.Kind is ActivityKind.ServerForward or ActivityKind.ServerBackwardInput or ActivityKind.ServerBackwardWeight);
            AssertClose(cost.ServerFlops / 1e9 / fleet.Server.GigaflopsPerSecond, server.Sum(activity => activity.Seconds));
        }
    }

    [Fact]
    public void Pipelined_IsNeverSlowerThanStepByStep()
    {
        for (var seed = 0UL; seed < 4 * Cases; seed++)
        {
            // A message of its own for every sample: then the two differ in nothing but in how far devices work ahead.
            var (workload, fleet) = Fleets.Random(seed);
            workload = workload with { MessageSamples = 1 };
            var pipelined = new FleetSimulator(workload, fleet).Run(FineTuningMethod.SplitFrozen);
            var stepwise = new FleetSimulator(workload, fleet, new SimulationOptions { Pipelined = false }).Run(FineTuningMethod.SplitFrozen);
            Assert.True(pipelined.Seconds <= stepwise.Seconds * Rounding, $"seed {seed}: {pipelined.Seconds} s against {stepwise.Seconds} s");
        }
    }

    [Fact]
    public void Cache_IsNeverSlower_AndAWarmOneNeverSlowerThanACold()
    {
        for (var seed = 0UL; seed < Cases; seed++)
        {
            var (workload, fleet) = Fleets.Random(seed);
            var without = new FleetSimulator(workload, fleet).Run(FineTuningMethod.SplitFrozen).Seconds;
            var cold = new FleetSimulator(workload, fleet).Run(FineTuningMethod.SplitFrozenCached).Seconds;
            var warm = new FleetSimulator(workload, fleet, new SimulationOptions { WarmCache = true }).Run(FineTuningMethod.SplitFrozenCached).Seconds;
            Assert.True(warm <= cold * Rounding && cold <= without * Rounding, $"seed {seed}: {warm}, {cold}, {without}");
        }
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Run_Again_GivesTheSameTimeline(FineTuningMethod method)
    {
        var (workload, fleet) = Fleets.Random(3);
        Assert.Equal(new FleetSimulator(workload, fleet).Run(method).Timeline, new FleetSimulator(workload, fleet).Run(method).Timeline);
    }

    private static void AssertClose(double expected, double actual) => Assert.True(Math.Abs(expected - actual) <= 1e-9 * Math.Max(1, expected), $"{expected} against {actual}");
}
