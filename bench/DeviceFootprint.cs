using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tasks;
using SplitFrozen.TestServers;
using SplitFrozen.Torch;

namespace SplitFrozen.Bench;

/// <summary>
/// What a device worker of GPT-2 small at cut 4 takes: resident memory and the time to its first message, its forward rate with f32 and int8
/// weights, the bytes that it sends, and the memory that a message costs either end. Random weights of GPT-2 small's shapes.
/// </summary>
internal static class DeviceFootprint
{
    internal const int Cut = 4;
    private const int Rows = 2048;
    private const int Rounds = 3;

    private static readonly WireType[] s_types = [WireType.Float16, WireType.Int8];

    internal static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        var output = report.Output;
        var folder = Directory.CreateTempSubdirectory("splitfrozen-bench-").FullName;
        try
        {
            var material = DeviceMaterial.Make(folder);
            await output.WriteLineAsync($"device: GPT-2 small's shapes, cut {Cut}, random weights; {material.Description}").ConfigureAwait(false);
            await output.WriteLineAsync(Machine.Description).ConfigureAwait(false);
            await output.WriteLineAsync().ConfigureAwait(false);
            var worker = Path.Combine(folder, "device-worker");
            await PublishedWorker.MakeAsync(worker, cancellationToken).ConfigureAwait(false);
            await ProcessesAsync(material, worker, report, cancellationToken).ConfigureAwait(false);
            var data = material.Load();
            await RatesAsync(material, data, report).ConfigureAwait(false);
            await WireAsync(material, data, report).ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task ProcessesAsync(DeviceMaterial material, string worker, Report report, CancellationToken cancellationToken)
    {
        var output = report.Output;
        var options = new ClusterOptions
        {
            Devices = 1, Trainer = false, AppendFsync = null, ProgramFolders = new Dictionary<string, string> { [PublishedWorker.Project] = worker },
        };
        if (await BenchCluster.StartAsync(report, "processes", options, cancellationToken).ConfigureAwait(false) is not { } cluster)
        {
            return;
        }

        await using var owned = cluster.ConfigureAwait(false);
        await cluster.Devices[0].KillAsync().ConfigureAwait(false);
        await output.WriteLineAsync("weights  peak MB  to first batch s  its processor s  messages  CPU had").ConfigureAwait(false);
        foreach (var weights in FrozenWeightNames.All)
        {
            var watch = Machine.Watch();
            var trials = new List<DeviceTrial>();
            for (var round = 0; round < Rounds; round++)
            {
                trials.Add(await DeviceTrial.RunAsync(cluster, material.Spec(weights, WireType.Float16, Rows), Cut, cancellationToken).ConfigureAwait(false));
            }

            var had = watch.CpuHad();
            var (peak, first) = (trials.Max(trial => trial.PeakBytes) / 1e6, Machine.Median(trials.Select(trial => trial.ToFirstBatch.TotalSeconds)));
            report.Add("device", $"MB resident at most, {weights} weights, cut {Cut}", peak, "F0", Target.AtMost(weights == FrozenWeights.Int8.Name() ? 200 : 350), had);
            report.Add("device", $"seconds from start to first batch, {weights} weights", first, "F2", Target.AtMost(2), had);
            await output.WriteLineAsync(
                $"{weights,7}  {peak,7:F0}  {first,16:F2}  "
                + $"{Machine.Median(trials.Select(trial => trial.ProcessorToFirstBatch.TotalSeconds)),15:F2}  {trials[0].Messages,8}  {had,7:P0}").ConfigureAwait(false);
        }

        await output.WriteLineAsync().ConfigureAwait(false);
        await output.WriteLineAsync($"peak: the largest of {Rounds} processes, {Rows} samples each; the times are medians.").ConfigureAwait(false);
        await output.WriteLineAsync().ConfigureAwait(false);
        await output.WriteLineAsync("wire  allocated by body bytes: device  coordinator").ConfigureAwait(false);
        foreach (var type in s_types)
        {
            var (publish, receive) = await MessageAllocations.MeasureAsync(cluster.Broker.ConnectionString, type, cancellationToken).ConfigureAwait(false);
            report.Add("device", $"bytes that a message allocates for each of its own, {type.Name()}: sender", publish, "F2", Target.AtMost(1.1), 1);
            report.Add("device", $"the same at the receiver, with the copy that the client library forces, {type.Name()}", receive, "F2", Target.AtMost(1.25), 1);
            await output.WriteLineAsync($"{type.Name(),4}  {publish,31:F2}  {receive,11:F2}").ConfigureAwait(false);
        }

        await output.WriteLineAsync().ConfigureAwait(false);
    }

    private static async Task RatesAsync(DeviceMaterial material, LoadedTask data, Report report)
    {
        var output = report.Output;
        var watch = Machine.Watch();
        using var thread = new ComputeThread("rates", 1);
        var (f32, int8, linear) = await thread.RunAsync(() => DeviceRates.Measure(material.Model, data.Train)).ConfigureAwait(false);
        var distance = await thread.RunAsync(() => DeviceRates.Distance(material.Model, data.Train)).ConfigureAwait(false);
        report.Add("device", "forward rate with int8 weights by that with f32, processor time", int8 / f32, "F2", Target.AtLeast(2), watch.CpuHad());
        await output.WriteLineAsync("forward, GFLOP/s of processor time: f32  int8  int8 / f32  linear 768→3072, f32  int8 moves hidden states by  CPU had").ConfigureAwait(false);
        await output.WriteLineAsync($"{f32,38:F0}  {int8,4:F0}  {int8 / f32,10:F2}  {linear,20:F0}  {distance,26:P2}  {watch.CpuHad(),7:P0}").ConfigureAwait(false);
        await output.WriteLineAsync($"One thread. int8 products by libtorch's kernel: {(IntegerProduct.IsAccelerated ? "yes" : "no, this processor's is not exact")}.").ConfigureAwait(false);
        await output.WriteLineAsync().ConfigureAwait(false);
    }

    private static async Task WireAsync(DeviceMaterial material, LoadedTask data, Report report)
    {
        var output = report.Output;
        await output.WriteLineAsync($"wire  MB sent for {data.Train.Count} samples  f32 padded to {material.Task.MaxLength}  padded to the longest of 32").ConfigureAwait(false);
        foreach (var type in s_types)
        {
            var bytes = WireBytes.Of(data.Train, type, DeviceMaterial.Config.Width, material.Task.MaxLength);
            report.Add(
                "device", $"bytes of padded f32 by those of {type.Name()}", (double)bytes.PaddedToMaximum / bytes.Sent, "F1", Target.AtLeast(type == WireType.Int8 ? 15 : 8), 1);
            await output.WriteLineAsync(
                $"{type.Name(),4}  {bytes.Sent / 1e6,26:F0}  {$"1/{(double)bytes.PaddedToMaximum / bytes.Sent:F1}",17}  {$"1/{(double)bytes.PaddedToBatch / bytes.Sent:F1}",27}").ConfigureAwait(false);
        }

        await output.WriteLineAsync().ConfigureAwait(false);
    }
}
