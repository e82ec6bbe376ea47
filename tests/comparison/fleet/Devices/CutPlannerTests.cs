using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Devices;
using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Comparison.Fleet.Tests.Costs;
using SplitFrozen.Comparison.Fleet.Tests.Simulation;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Comparison.Fleet.Tests.Devices;

public sealed class CutPlannerTests
{
    [Fact]
    public void PerDevice_OnRandomFleets_IsTheBestOfAllCuts()
    {
        for (var seed = 0UL; seed < 25; seed++)
        {
            var (workload, fleet) = Fleets.Random(seed);
            workload = workload with { Boundary = 3, Clients = [.. workload.Clients.Take(3)] };
            fleet = fleet with { Devices = [.. fleet.Devices.Take(3)] };
            var planner = new CutPlanner(workload, fleet, cached: seed % 2 == 0);
            var best = AllCuts(fleet.Devices.Count, 3).Min(planner.BusiestSeconds);
            Assert.Equal(best, planner.BusiestSeconds(planner.PerDevice()), 12);
        }
    }

    [Fact]
    public void PerDevice_OfTheHeterogeneousFleet_BeatsOneCutForAll()
    {
        var workload = Workloads.Classification(Workloads.Gpt2Small, boundary: 6);
        var fleet = DevicePresets.HeterogeneousFleet;
        var planner = new CutPlanner(workload, fleet, cached: false);
        var (own, common) = (Simulate(planner.PerDevice()), Simulate(planner.Common()));
        Assert.True(own <= common, $"{own} s against {common} s");
        Assert.True(own < Simulate(planner.Deepest()));

        double Simulate(int[] cuts) => new FleetSimulator(workload with { Cuts = cuts }, fleet).Run(FineTuningMethod.SplitFrozen).Seconds;
    }

    [Fact]
    public void BusiestSeconds_OfASlowServer_IsTheWorkOfTheCostModel()
    {
        var (workload, fleet) = Fleets.Random(5);
        workload = workload with { Boundary = 3, Cuts = [.. fleet.Devices.Select((_, client) => client % 4)] };
        fleet = fleet with { Server = new SimulatedServer { GigaflopsPerSecond = 1e-3 } };
        var flops = new CostModel(workload).Cost(FineTuningMethod.SplitFrozen).ServerFlops;
        Assert.Equal(flops / 1e6, new CutPlanner(workload, fleet, cached: false).BusiestSeconds([.. workload.Cuts]), flops / 1e6 * 1e-12);
    }

    [Fact]
    public void PerDevice_KeepsWithinTheMemory()
    {
        // Two of the sample model's blocks and its embeddings: 3 MiB each, and 4.1 MiB.
        var small = Fleets.Device(100) with { Profile = new DeviceProfile(100, 11 << 20, 1e9) };
        var workload = Fleets.Uniform(2, 1) with { Boundary = 5 };
        var planner = new CutPlanner(workload, new SimulatedFleet([small, Fleets.Device(100, uplink: 1e9)], new SimulatedServer { GigaflopsPerSecond = 0.1 }), cached: false);
        Assert.Equal([2, 5], planner.Deepest());
        Assert.Equal([2, 5], planner.PerDevice());
        Assert.True(planner.Common()[0] <= 2);
    }

    private static IEnumerable<int[]> AllCuts(int devices, int boundary) => devices == 0
        ? [[]]
        : AllCuts(devices - 1, boundary).SelectMany(cuts => Enumerable.Range(0, boundary + 1).Select(cut => (int[])[.. cuts, cut]));
}
