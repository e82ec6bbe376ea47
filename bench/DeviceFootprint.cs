using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.TestServers;

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

    internal static async Task RunAsync(TextWriter output, CancellationToken cancellationToken)
    {
        var folder = Directory.CreateTempSubdirectory("splitfrozen-bench-").FullName;
        try
        {
            var material = DeviceMaterial.Make(folder);
            await output.WriteLineAsync($"device: GPT-2 small's shapes, cut {Cut}, random weights; {material.Description}").ConfigureAwait(false);
            await output.WriteLineAsync(Machine.Description).ConfigureAwait(false);
            await output.WriteLineAsync().ConfigureAwait(false);
            await ProcessesAsync(material, output, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task ProcessesAsync(DeviceMaterial material, TextWriter output, CancellationToken cancellationToken)
    {
        var cluster = await Cluster.StartAsync(new ClusterOptions { Devices = 1, Trainer = false, AppendFsync = null, LogLevel = "Warning" }, cancellationToken).ConfigureAwait(false);
        await using var owned = cluster.ConfigureAwait(false);
        if (cluster.SkipReason is { } reason)
        {
            await output.WriteLineAsync($"processes: {reason}").ConfigureAwait(false);
            return;
        }

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

            await output.WriteLineAsync(
                $"{weights,7}  {trials.Max(trial => trial.PeakBytes) / 1e6,7:F0}  {Machine.Median(trials.Select(trial => trial.ToFirstBatch.TotalSeconds)),16:F2}  "
                + $"{Machine.Median(trials.Select(trial => trial.ProcessorToFirstBatch.TotalSeconds)),15:F2}  {trials[0].Messages,8}  {watch.CpuHad(),7:P0}").ConfigureAwait(false);
        }

        await output.WriteLineAsync().ConfigureAwait(false);
        await output.WriteLineAsync($"peak: the largest of {Rounds} processes, {Rows} samples each. Targets: 350 MB with f32, 200 MB with int8, 2 s.").ConfigureAwait(false);
    }
}
