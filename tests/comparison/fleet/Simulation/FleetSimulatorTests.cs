using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Simulation;

namespace SplitFrozen.Comparison.Fleet.Tests.Simulation;

/// <summary>Simulated times against closed forms worked out by hand.</summary>
public sealed class FleetSimulatorTests
{
    private static readonly SimulatedServer s_server = new() { GigaflopsPerSecond = 100, IngressBytesPerSecond = 50e6, EgressBytesPerSecond = 40e6, StepSeconds = 0.003, MessageSeconds = 0.001 };

    [Theory]
    [InlineData(0.5)]
    [InlineData(20)]
    [InlineData(500)]
    public void SplitFrozen_OneDevice_IsAPipelineOfItsSlowestPart(double gigaflops)
    {
        const int Steps = 9;
        var workload = Fleets.Uniform(clients: 1, Steps);
        var device = Fleets.Device(gigaflops, latency: 0.02);
        var (compute, send, receive, train) = Parts(workload, device, FineTuningMethod.SplitFrozen);
        var run = new FleetSimulator(workload, new SimulatedFleet([device], s_server)).Run(FineTuningMethod.SplitFrozen);
        var slowest = new[] { compute.Forward, send, receive, train }.Max();
        Assert.Equal(compute.Forward + send + 0.02 + receive + train + ((Steps - 1) * slowest), run.Seconds, 9);
    }

    [Fact]
    public void SplitFrozen_Sequential_IsTheSumOfAllParts()
    {
        const int Steps = 6;
        var workload = Fleets.Uniform(clients: 1, Steps);
        var device = Fleets.Device(5, latency: 0.02);
        var (compute, send, receive, train) = Parts(workload, device, FineTuningMethod.SplitFrozen);
        var run = new FleetSimulator(workload, new SimulatedFleet([device], s_server), new SimulationOptions { Pipelined = false }).Run(FineTuningMethod.SplitFrozen);
        Assert.Equal(Steps * (compute.Forward + send + 0.02 + receive + train), run.Seconds, 9);
    }

    [Fact]
    public void SplitFrozen_Cached_NeedsTheDeviceInTheFirstEpochOnly()
    {
        var workload = Fleets.Uniform(clients: 2, batches: 5, epochs: 4);
        var fleet = new SimulatedFleet([Fleets.Device(0.5), Fleets.Device(1)], s_server);
        var run = new FleetSimulator(workload, fleet).Run(FineTuningMethod.SplitFrozenCached);
        var train = run.Busy()["server"] / 4;
        Assert.All(run.EpochEnds.Zip(run.EpochEnds.Skip(1)), pair => Assert.Equal(train, pair.Second - pair.First, 9));
        Assert.DoesNotContain(run.Timeline, activity => activity.Kind == ActivityKind.DeviceForward && activity.Start > run.EpochEnds[0]);

        var warm = new FleetSimulator(workload, fleet, new SimulationOptions { WarmCache = true }).Run(FineTuningMethod.SplitFrozenCached);
        Assert.Equal(4 * train, warm.Seconds, 9);
        Assert.Equal(["server"], warm.Busy().Keys);
    }

    [Fact]
    public void SplitLora_OneClient_WaitsForEveryGradient()
    {
        var workload = Fleets.Uniform(clients: 1, batches: 4, epochs: 2);
        var device = Fleets.Device(5, latency: 0.02);
        var (compute, send, receive, train) = Parts(workload, device, FineTuningMethod.SplitLora);
        var sizes = new TransferSizes(workload);
        var gradient = sizes.Gradients([.. workload.Clients[0].Take(8)], 2);
        var step = compute.Forward + send + 0.02 + receive + train + (gradient / 40e6) + 0.02 + (gradient / 4e6) + compute.Backward;
        var adapter = sizes.Adapter(0, 2);
        var average = (adapter / 1e6) + 0.02 + (adapter / 50e6) + 0.001 + (adapter / 40e6) + 0.02 + (adapter / 4e6);
        var run = new FleetSimulator(workload, new SimulatedFleet([device], s_server)).Run(FineTuningMethod.SplitLora);
        Assert.Equal(2 * ((4 * step) + (2 * average)), run.Seconds, 9);
    }

    [Fact]
    public void SplitLora_TurnsOfEqualClients_TakeAsLongAsAllOneAfterTheOther()
    {
        var workload = Fleets.Uniform(clients: 3, batches: 2) with { AveragingSteps = 100 };
        var fleet = new SimulatedFleet([.. Enumerable.Repeat(Fleets.Device(5), 3)], s_server);
        var together = new FleetSimulator(workload, fleet).Run(FineTuningMethod.SplitLora);
        var turns = new FleetSimulator(workload, fleet, new SimulationOptions { ClientsTakeTurns = true }).Run(FineTuningMethod.SplitLora);
        var alone = new FleetSimulator(
            workload with { Clients = [workload.Clients[0]] }, new SimulatedFleet([fleet.Devices[0]], s_server)).Run(FineTuningMethod.SplitLora);
        var training = alone.Timeline.Where(activity => activity.Kind == ActivityKind.DeviceBackward).Max(activity => activity.End);
        Assert.Equal(3 * training, turns.Timeline.Where(activity => activity.Kind == ActivityKind.DeviceBackward).Max(activity => activity.End), 9);
        Assert.True(together.Seconds < turns.Seconds);
    }

    [Fact]
    public void FedLora_RoundsEndWithTheSlowestClient()
    {
        var workload = Fleets.Uniform(clients: 2, batches: 4, epochs: 3);
        var (slow, fast) = (Fleets.Device(1, latency: 0.05), Fleets.Device(50));
        var server = new SimulatedServer { GigaflopsPerSecond = 100 };
        var cost = new CostModel(workload).Cost(FineTuningMethod.FedLora).Clients[0];
        var run = new FleetSimulator(workload, new SimulatedFleet([slow, fast], server)).Run(FineTuningMethod.FedLora);
        Assert.Equal((cost.Flops / 1e9) + (cost.DownBytes / 4e6) + (cost.UpBytes / 1e6) + (3 * 2 * 0.05), run.Seconds, 9);
    }

    [Fact]
    public void Centralised_IsTheUploadAndTheServersWork()
    {
        var workload = Fleets.Uniform(clients: 2, batches: 3, epochs: 2);
        var cost = new CostModel(workload).Cost(FineTuningMethod.Centralised);
        var run = new FleetSimulator(workload, new SimulatedFleet([Fleets.Device(1, uplink: 1e3), Fleets.Device(1)], new SimulatedServer { GigaflopsPerSecond = 10 })).Run(FineTuningMethod.Centralised);
        Assert.Equal((cost.Clients[0].UpBytes / 1e3) + (cost.ServerFlops / 10e9), run.Seconds, 9);
    }

    [Fact]
    public void Available_Order_DoesNotWaitForAStraggler()
    {
        var workload = Fleets.Uniform(clients: 2, batches: 8);
        var fleet = new SimulatedFleet([Fleets.Device(0.5), Fleets.Device(500, uplink: 1e9)], new SimulatedServer { GigaflopsPerSecond = 4 });
        var planned = new FleetSimulator(workload, fleet).Run(FineTuningMethod.SplitFrozen);
        var available = new FleetSimulator(workload, fleet, new SimulationOptions { Order = SimulatedOrder.Available }).Run(FineTuningMethod.SplitFrozen);
        Assert.True(available.Seconds < 0.95 * planned.Seconds, $"{available.Seconds} s against {planned.Seconds} s");
        Assert.Equal(planned.Busy()["server"], available.Busy()["server"], 9);
    }

    [Fact]
    public void Stages_DecoupledBackward_FillsBubblesWithWeightGradients()
    {
        // Every layer adapted with a high rank, so that W is worth moving.
        var workload = Fleets.Uniform(clients: 1, batches: 6) with { Lora = new(128, 1, 0, ["c_attn", "c_proj", "c_fc"], false) };
        var server = s_server with { GigaflopsPerSecond = 1, Stages = 4, MicroBatches = 4 };
        var fleet = new SimulatedFleet([Fleets.Device(500, uplink: 1e9)], server);
        var coupled = new FleetSimulator(workload, fleet, new SimulationOptions { DecoupledBackward = false }).Run(FineTuningMethod.SplitFrozen);
        var decoupled = new FleetSimulator(workload, fleet).Run(FineTuningMethod.SplitFrozen);
        var oneStage = new FleetSimulator(workload, fleet with { Server = server with { Stages = 1 } }).Run(FineTuningMethod.SplitFrozen);
        Assert.True(decoupled.Seconds < coupled.Seconds, $"{decoupled.Seconds} s against {coupled.Seconds} s");
        Assert.True(coupled.Seconds < oneStage.Seconds);
        Assert.Equal(coupled.Busy().Where(Stage).Sum(pair => pair.Value), decoupled.Busy().Where(Stage).Sum(pair => pair.Value), 6);

        static bool Stage(KeyValuePair<string, double> busy) => busy.Key.StartsWith("server stage", StringComparison.Ordinal);
    }

    [Fact]
    public void Fleet_OfAnotherSize_IsRefused() =>
        Assert.Throws<ArgumentException>(() => new FleetSimulator(Fleets.Uniform(2, 1), new SimulatedFleet([Fleets.Device(1)], s_server)));

    private static ((double Forward, double Backward) Compute, double Send, double Receive, double Train) Parts(Workload workload, SimulatedDevice device, FineTuningMethod method)
    {
        var costs = new CostModel(workload);
        var sample = workload.Clients[0][0];
        var work = costs.DeviceStep(method, 0, sample);
        var rate = device.Profile.GigaflopsPerSecond * 1e9 / 8;
        var message = new TransferSizes(workload).Activations([.. workload.Clients[0].Take(8)], workload.Boundary);
        return (
            (work.Forward / rate, work.Backward / rate), message / device.Profile.UplinkBytesPerSecond, (message / s_server.IngressBytesPerSecond) + s_server.MessageSeconds,
            (8 * costs.ServerStep(method, 0, sample).Total / (s_server.GigaflopsPerSecond * 1e9)) + s_server.StepSeconds);
    }
}
