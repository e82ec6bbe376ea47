using SplitFrozen.Contracts.Wire;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>
/// A whole run of the demo with every part a process of its own, against its slowest part by itself: the device's forward without
/// network, the transfer of ready bodies up to the ledger, the trainer with every activation in the cache. A run counts from the
/// coordinator's plan, when model and data are open everywhere, to its last step.
/// </summary>
internal static class RunTime
{
    private const int Epochs = 3;
    private const int Clients = 8;
    private const int Rows = 2400;
    private const int SamplesPerBody = 32;
    private const int Rounds = 3;

    internal static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        var output = report.Output;
        if (await BenchCluster.StartAsync(report, "run-time", new ClusterOptions { Devices = 1, AppendFsync = "everysec" }, cancellationToken).ConfigureAwait(false) is not { } cluster)
        {
            return;
        }

        await using (cluster.ConfigureAwait(false))
        {
            await output.WriteLineAsync($"run-time: samples/demo.yaml, {Epochs} epochs, {Clients} clients on one device worker; processes over RabbitMQ and Redis; medians of {Rounds}").ConfigureAwait(false);
            await output.WriteLineAsync(Machine.Description).ConfigureAwait(false);
            await output.WriteLineAsync().ConfigureAwait(false);

            // Another wire type has other cache entries: the code gets warm and the cache stays empty.
            await DemoRun.PlayAsync(cluster, Epochs, "bf16", cancellationToken).ConfigureAwait(false);
            var watch = Machine.Watch();
            var (whole, trainer, device) = (new List<DemoRun>(), new List<DemoRun>(), new List<double>());
            for (var round = 0; round < Rounds; round++)
            {
                await cluster.Redis.DeleteAsync("act:", cancellationToken).ConfigureAwait(false);
                whole.Add(await DemoRun.PlayAsync(cluster, Epochs, "f16", cancellationToken).ConfigureAwait(false));
                trainer.Add(await DemoRun.PlayAsync(cluster, Epochs, "f16", cancellationToken).ConfigureAwait(false));
                device.Add(await Recording.MeasureForwardAsync(Path.Combine(Programs.Root, "samples"), cancellationToken).ConfigureAwait(false));
            }

            Require(whole.TrueForAll(run => run.Cached == 0) && trainer.TrueForAll(run => run.Cached == Rows), "the cache was not what a part by itself needs");
            var had = watch.CpuHad();
            var transfer = await TransferAsync(cancellationToken).ConfigureAwait(false);
            double[] parts = [Machine.Median(device), transfer, Machine.Median(trainer.Select(run => run.Seconds))];
            var seconds = Machine.Median(whole.Select(run => run.Seconds));
            report.Add("run-time", "a run from plan to last step by the slowest part by itself", seconds / parts.Max(), "F2", Target.AtMost(1.15), had);
            await output.WriteLineAsync("device s  transfer s  trainer s  whole s  ratio  trainer waited s  before the plan s  submitted to finished s  CPU had").ConfigureAwait(false);
            await output.WriteLineAsync(
                $"{parts[0],8:F1}  {parts[1],10:F1}  {parts[2],9:F1}  {seconds,7:F1}  {seconds / parts.Max(),5:F2}  {Machine.Median(whole.Select(run => run.WaitSeconds)),16:F1}  {Machine.Median(whole.Select(run => run.StartSeconds)),17:F1}  "
                + $"{Machine.Median(whole.Select(run => run.AllSeconds)),23:F1}  {had,7:P0}").ConfigureAwait(false);
            await output.WriteLineAsync().ConfigureAwait(false);
            await output.WriteLineAsync("ratio: whole, from the plan to the last step, over the slowest part by itself. Target: at most 1.15.").ConfigureAwait(false);
        }
    }

    private static async Task<double> TransferAsync(CancellationToken cancellationToken)
    {
        var recording = await Recording.OfDemoAsync(Path.Combine(Programs.Root, "samples"), Rows).ConfigureAwait(false);
        var cluster = await Cluster.StartAsync(
            new ClusterOptions { Trainer = false, AppendFsync = "everysec", LogLevel = "Warning" }, cancellationToken).ConfigureAwait(false);
        await using (cluster.ConfigureAwait(false))
        {
            // All rounds but the first, which makes the code warm.
            var times = new List<double>();
            var run = await PlayedRun.StartAsync(cluster, recording, Fleet.OnOneDevice(Clients, (Rounds + 1) * Rows / Clients), cancellationToken).ConfigureAwait(false);
            await using (run.ConfigureAwait(false))
            {
                for (var round = 0; round <= Rounds; round++)
                {
                    var bodies = Enumerable.Range(0, Clients)
                        .SelectMany(client => run.Rows(client).Skip(round * Rows / Clients).Take(Rows / Clients).Chunk(SamplesPerBody).Select(rows => (client, rows)))
                        .Select(part => (part.client, recording.Body(run.RunId, part.client, [.. part.rows.Select(SampleId.Training)]))).ToArray();
                    times.Add((await run.SendAsync(bodies, Rows, cancellationToken).ConfigureAwait(false)).TotalSeconds);
                }
            }

            return Machine.Median(times.Skip(1));
        }
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"run-time: {what}.");
        }
    }
}
