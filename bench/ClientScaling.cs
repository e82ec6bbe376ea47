using System.Diagnostics;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>
/// What a batch costs the coordinator, whoever sends it: the same number of batches with the sample model's own activations, from
/// 10, 100 and 1,000 clients. Devices and trainer are played by this process; the coordinator's process alone is measured, with
/// everything that it does for a batch: asking, checking, storing, composing steps, recording events. Registration and
/// subscription come before.
/// </summary>
internal static class ClientScaling
{
    private const int Batches = 2000;
    private const int SamplesPerBatch = 32;

    private static readonly int[] _counts = [10, 100, 1000];

    internal static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        var output = report.Output;
        var recording = await Recording.OfDemoAsync(Path.Combine(Programs.Root, "samples"), 256).ConfigureAwait(false);
        if (await BenchCluster.StartAsync(report, "clients", new ClusterOptions { Trainer = false, AppendFsync = "everysec" }, cancellationToken).ConfigureAwait(false) is not { } cluster)
        {
            return;
        }

        await using (cluster.ConfigureAwait(false))
        {
            await output.WriteLineAsync($"clients: {Batches} batches of {SamplesPerBatch} samples with recorded activations of the sample model").ConfigureAwait(false);
            await output.WriteLineAsync(Machine.Description).ConfigureAwait(false);
            await output.WriteLineAsync().ConfigureAwait(false);
            await output.WriteLineAsync("clients  coordinator ms CPU/batch  batches/s  CPU before the first batch, s  CPU had").ConfigureAwait(false);

            // There and back, so that what changes with time is the same for all; the first run makes the code warm.
            var times = _counts.ToDictionary(count => count, _ => new List<double>());
            await MeasureAsync(cluster, recording, _counts[0], cancellationToken).ConfigureAwait(false);
            var watch = Machine.Watch();
            foreach (var count in _counts.Concat(_counts.Reverse()))
            {
                var (milliseconds, rate, start, had) = await MeasureAsync(cluster, recording, count, cancellationToken).ConfigureAwait(false);
                times[count].Add(milliseconds);
                await output.WriteLineAsync($"{count,7}  {milliseconds,24:F2}  {rate,9:F0}  {start,29:F1}  {had,7:P0}").ConfigureAwait(false);
            }

            var means = _counts.Select(count => times[count].Average()).ToArray();
            report.Add("clients", "processor time for a batch, the dearest of 10, 100 and 1,000 clients by the cheapest", means.Max() / means.Min(), "F2", Target.AtMost(1.2), watch.CpuHad());
            await output.WriteLineAsync().ConfigureAwait(false);
            await output.WriteLineAsync(
                $"means {string.Join(", ", means.Select(mean => mean.ToString("F2", System.Globalization.CultureInfo.InvariantCulture)))} ms; highest over lowest {means.Max() / means.Min():F2}. Target: at most 1.20.").ConfigureAwait(false);
        }
    }

    private static async Task<(double Milliseconds, double Rate, double StartSeconds, double CpuHad)> MeasureAsync(
        Cluster cluster, Recording recording, int clients, CancellationToken cancellationToken)
    {
        var idle = cluster.Coordinator.ProcessorTime;
        var run = await PlayedRun.StartAsync(cluster, recording, Fleet.OnOneDevice(clients, Batches * SamplesPerBatch / clients), cancellationToken).ConfigureAwait(false);
        await using (run.ConfigureAwait(false))
        {
            var before = cluster.Coordinator.ProcessorTime;
            var (clock, watch) = (Stopwatch.StartNew(), Machine.Watch());
            var ingested = run.IngestedAsync((long)Batches * SamplesPerBatch, cancellationToken);
            await run.TrainAsync(cancellationToken).ConfigureAwait(false);
            await ingested.ConfigureAwait(false);
            var used = cluster.Coordinator.ProcessorTime - before;
            var (elapsed, had) = (clock.Elapsed, watch.CpuHad());
            await cluster.EndAsync(run.RunId, cancellationToken).ConfigureAwait(false);
            return (used.TotalMilliseconds / Batches, Batches / elapsed.TotalSeconds, (before - idle).TotalSeconds, had);
        }
    }
}
