using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>
/// How long a run takes on a fleet, by simulating its events in virtual time with the work and bytes of the <see cref="CostModel"/>. Every method
/// overlaps what its own dependencies allow: FedLoRA's clients train in parallel up to a barrier at each round; SplitLoRA's wait for the gradient
/// of each batch and meet at each averaging; SplitFrozen's devices wait for nothing. Device and link rates are constants.
/// </summary>
public sealed class FleetSimulator
{
    private readonly Workload _workload;
    private readonly SimulatedFleet _fleet;
    private readonly SimulationOptions _options;
    private readonly CostModel _costs;

    /// <summary>Prepares simulations.</summary>
    /// <exception cref="ArgumentException">The workload is impossible, or has another number of clients than the fleet has devices.</exception>
    public FleetSimulator(Workload workload, SimulatedFleet fleet, SimulationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(workload);
        ArgumentNullException.ThrowIfNull(fleet);
        if (workload.Clients.Count != fleet.Devices.Count)
        {
            throw new ArgumentException($"The workload has {workload.Clients.Count} clients, the fleet {fleet.Devices.Count} devices.", nameof(fleet));
        }

        (_workload, _fleet, _options) = (workload, fleet, options ?? new SimulationOptions());
        _costs = new CostModel(workload);
    }

    /// <summary>Simulates all epochs by a method.</summary>
    public SimulatedRun Run(FineTuningMethod method)
    {
        var clock = new VirtualClock();
        var timeline = new List<Activity>();
        var world = new SimulationWorld(
            _workload, _costs, _options, clock, new FleetStations(clock, timeline, _fleet), new TrainerStages(clock, timeline, _fleet.Server, _options.DecoupledBackward), []);
        switch (method)
        {
            case FineTuningMethod.FedLora:
                new FedLoraSimulation(world).Start();
                break;
            case FineTuningMethod.SplitLora:
                new SplitLoraSimulation(world).Start();
                break;
            case FineTuningMethod.Centralised:
                new CentralisedSimulation(world).Start();
                break;
            default:
                new SplitFrozenSimulation(world, method).Start();
                break;
        }

        clock.Run();
        return new SimulatedRun(method, world.EpochEnds[^1], world.EpochEnds, timeline);
    }
}

/// <summary>What a method's simulation works with.</summary>
internal sealed record SimulationWorld(
    Workload Workload, CostModel Costs, SimulationOptions Options, VirtualClock Clock, FleetStations Stations, TrainerStages Trainer, List<double> EpochEnds)
{
    /// <summary>Every sample with its client, in an epoch's order over all clients: the seeded permutation that a coordinator draws too.</summary>
    internal PlannedSample[] Permutation(int epoch)
    {
        PlannedSample[] order = [.. Workload.Clients.SelectMany((samples, client) => samples.Select(size => new PlannedSample(client, size)))];
        SeededRandom.ForStream(Options.Seed, "plan", (ulong)epoch).Shuffle<PlannedSample>(order);
        return order;
    }

    internal void EpochEnded() => EpochEnds.Add(Clock.Now);
}

/// <summary>A sample in the plan.</summary>
internal readonly record struct PlannedSample(int Client, SampleSize Size);
