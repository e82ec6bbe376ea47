using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Devices;
using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>A way to train on the fleet with what it costs and how long it takes.</summary>
/// <param name="Title">Name in a report.</param>
/// <param name="Method">The method.</param>
/// <param name="Cost">By formula.</param>
/// <param name="Run">By simulation.</param>
/// <param name="Cuts">The cut of each device where they differ; else empty.</param>
internal sealed record FleetEntry(string Title, FineTuningMethod Method, MethodCost Cost, SimulatedRun Run, IReadOnlyList<int> Cuts);

/// <summary>A task on a partition, by every method on the heterogeneous fleet.</summary>
internal sealed class FleetCase
{
    /// <summary>Reckons and simulates all of them.</summary>
    public FleetCase(StudyTask task, PartitionChoice partition, StudyOptions options)
    {
        Partition = partition;
        var workload = StudyWorkload.Of(task, partition, options);
        var fleet = StudyWorkload.Fleet(workload.Clients.Count);
        var cuts = new CutPlanner(workload, fleet, cached: true).PerDevice();
        Entries =
        [
            Entry("FedLoRA", FineTuningMethod.FedLora, workload),
            Entry("SplitLoRA", FineTuningMethod.SplitLora, workload),
            Entry("SplitFrozen", FineTuningMethod.SplitFrozen, workload),
            Entry("SplitFrozen, cache", FineTuningMethod.SplitFrozenCached, workload),
            Entry("SplitFrozen, cache, own cuts", FineTuningMethod.SplitFrozenCached, workload with { Cuts = cuts }),
            Entry("SplitFrozen, second run", FineTuningMethod.SplitFrozenCached, workload, warmCache: true),
            Entry("centralised, all blocks", FineTuningMethod.Centralised, workload),
        ];

        FleetEntry Entry(string title, FineTuningMethod method, Workload work, bool warmCache = false) => new(
            title, method, new CostModel(work).Cost(method, warmCache), new FleetSimulator(work, fleet, new SimulationOptions { WarmCache = warmCache }).Run(method), work.Cuts);
    }

    /// <summary>How the data is dealt.</summary>
    public PartitionChoice Partition { get; }

    /// <summary>The methods; the first is FedLoRA.</summary>
    public IReadOnlyList<FleetEntry> Entries { get; }
}
