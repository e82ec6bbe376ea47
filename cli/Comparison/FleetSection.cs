using System.Globalization;
using SplitFrozen.Cli.Display;
using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Devices;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>What the methods would cost a fleet of unequal devices, by formula, and how long they would take it, by simulation.</summary>
internal sealed class FleetSection : IStudySection
{
    private const int ClaimedEpochs = 5;

    /// <inheritdoc/>
    public IEnumerable<ReportBlock> Write(StudyResult study)
    {
        yield return new ReportBlock.Heading(2, "Cost and time on a fleet of unequal devices");
        yield return new ReportBlock.Paragraph(
            "Reckoned and simulated, not measured: operations, bytes and memory by formulas that are checked against counted operations, times in a discrete-event simulation. "
            + $"One client on each of: {string.Join(", ", DevicePresets.HeterogeneousFleet.Devices.Select(device => $"{device.Name} ({Number(device.Profile.GigaflopsPerSecond)} GFLOP/s)"))}; "
            + $"one server with {Number(DevicePresets.Server.GigaflopsPerSecond)} GFLOP/s. Every method overlaps what its own dependencies allow: FedLoRA's clients train side by side, and so do "
            + "SplitLoRA's, whose batches the server takes as they come. Held-out evaluation is left out.");
        foreach (var task in study.Tasks)
        {
            foreach (var block in Write(task, study.Options))
            {
                yield return block;
            }
        }
    }

    private static IEnumerable<ReportBlock> Write(TaskResult task, StudyOptions options)
    {
        var name = task.Task.Spec.Name;
        yield return new ReportBlock.Heading(3, $"{name}: device compute by cut");
        yield return new ReportBlock.Paragraph("All devices together, less than FedLoRA's devices compute in as many epochs.");
        yield return ByCut(StudyWorkload.Of(task.Task, options.Partitions[0], options));
        yield return new ReportBlock.Heading(3, $"{name}: {task.Task.Spec.Training.Epochs} epochs with cut {task.Task.Spec.Model.Boundary}");
        yield return new ReportBlock.Paragraph(
            "\"Less\" compares device compute with FedLoRA's and time with SplitLoRA's. A second run is another one on the same data and the same frozen blocks. "
            + "Own cuts: each device cuts where the cost model says, and the server catches up.");
        var cases = options.Partitions.Select(partition => new FleetCase(task.Task, partition, options)).ToArray();
        yield return new ReportBlock.Table(
            ["partition, method", "device compute", "less", "sent", "received", "memory of a device, at most", "time", "less"], [.. cases.SelectMany(Rows)]);
        yield return new ReportBlock.Figure(
            $"{name}-cost", $"{name}, {cases[0].Partition.Text}: cost of the devices as a share of FedLoRA's", FleetPlot.Costs($"{name}, {cases[0].Partition.Text}", cases[0]));
        foreach (var one in cases)
        {
            yield return new ReportBlock.Figure(
                $"{name}-{one.Partition.Text.Replace(':', '-')}-time", $"{name}, {one.Partition.Text}: {task.Task.Metric} over simulated time", FleetPlot.OverTime(task, one));
        }
    }

    private static ReportBlock.Table ByCut(Workload workload)
    {
        var (once, claimed) = (workload with { Epochs = 1 }, workload with { Epochs = ClaimedEpochs });

        // FedLoRA's devices hold every block, wherever the others cut.
        var (federatedOnce, federatedClaimed) = (DeviceFlops(once, FineTuningMethod.FedLora), DeviceFlops(claimed, FineTuningMethod.FedLora));
        return new ReportBlock.Table(
            ["cut", "each epoch, without the cache", $"{ClaimedEpochs} epochs, with the cache", "a second run"],
            [
                .. Enumerable.Range(0, workload.Model.Layers).Select(cut => (IReadOnlyList<string>)
                [
                    Number(cut),
                    Less(DeviceFlops(once with { Boundary = cut }, FineTuningMethod.SplitFrozen), federatedOnce),
                    Less(DeviceFlops(claimed with { Boundary = cut }, FineTuningMethod.SplitFrozenCached), federatedClaimed),
                    Less(DeviceFlops(claimed with { Boundary = cut }, FineTuningMethod.SplitFrozenCached, warmCache: true), federatedClaimed),
                ]),
            ]);
    }

    private static double DeviceFlops(Workload workload, FineTuningMethod method, bool warmCache = false) => new CostModel(workload).Cost(method, warmCache).DeviceFlops;

    /// <summary>How much less a cost is than another, in percent of that.</summary>
    private static string Less(double cost, double other) => Quantity.Percent(1 - (cost / other));

    private static IEnumerable<IReadOnlyList<string>> Rows(FleetCase one)
    {
        var federated = one.Entries.Single(entry => entry.Method == FineTuningMethod.FedLora).Cost.DeviceFlops;
        var split = one.Entries.Single(entry => entry.Method == FineTuningMethod.SplitLora).Run.Seconds;
        foreach (var entry in one.Entries)
        {
            var (cost, isOurs) = (entry.Cost, entry.Method is FineTuningMethod.SplitFrozen or FineTuningMethod.SplitFrozenCached);
            yield return
            [
                $"{one.Partition.Text}, {entry.Title}{(entry.Cuts.Count == 0 ? "" : $" ({string.Join(' ', entry.Cuts)})")}", Quantity.Flops(cost.DeviceFlops), isOurs ? Less(cost.DeviceFlops, federated) : "", Quantity.Bytes(cost.UpBytes),
                Quantity.Bytes(cost.DownBytes), Quantity.Bytes(cost.PeakDeviceMemory), Quantity.Time(TimeSpan.FromSeconds(entry.Run.Seconds)),
                isOurs ? Less(entry.Run.Seconds, split) : "",
            ];
        }
    }

    private static string Number(double value) => value.ToString("#,0.###", CultureInfo.InvariantCulture);
}
