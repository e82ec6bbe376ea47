using SplitFrozen.Contracts.Wire;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>
/// How fast the coordinator takes activations in: its own process takes bodies of 1 MB off durable queues, checks them, stores
/// them in Redis, records them in the ledger and acknowledges them. Set against <see cref="BareBroker"/> with the very
/// same bodies in turn. Both times run from the first publish to the last acknowledgement.
/// </summary>
internal static class IngestThroughput
{
    private const int Clients = 4;
    private const int BodiesPerClient = 16;
    private const int SamplesPerBody = 17;
    private const int Tokens = 40;
    private const int Width = 768;
    private const int Rounds = 9;
    private const int WarmUpRounds = 30;

    internal static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        var recording = Recording.Synthetic(Width, Tokens, 64);
        await MeasureAsync(recording, null, report, cancellationToken).ConfigureAwait(false);
        await MeasureAsync(recording, "everysec", report, cancellationToken).ConfigureAwait(false);
    }

    private static async Task MeasureAsync(Recording recording, string? appendFsync, Report report, CancellationToken cancellationToken)
    {
        if (await BenchCluster.StartAsync(report, "ingest", new ClusterOptions { Trainer = false, AppendFsync = appendFsync }, cancellationToken).ConfigureAwait(false) is not { } cluster)
        {
            return;
        }

        await using (cluster.ConfigureAwait(false))
        {
            await MeasureAsync(cluster, recording, appendFsync is null ? "in memory" : "append-only, fsync every second", report, cancellationToken).ConfigureAwait(false);
        }
    }

    private static async Task MeasureAsync(Cluster cluster, Recording recording, string persistence, Report report, CancellationToken cancellationToken)
    {
        var output = report.Output;
        const int RowsPerClient = (WarmUpRounds + Rounds) * BodiesPerClient * SamplesPerBody;
        var bare = await BareBroker.StartAsync(cluster.Broker.ConnectionString, Clients, cancellationToken).ConfigureAwait(false);
        await using (bare.ConfigureAwait(false))
        {
            var run = await PlayedRun.StartAsync(cluster, recording, Fleet.OnOneDevice(Clients, RowsPerClient), cancellationToken).ConfigureAwait(false);
            await using (run.ConfigureAwait(false))
            {
                var body = recording.Body(run.RunId, 0, [.. run.Rows(0).Take(SamplesPerBody).Select(SampleId.Training)]).Length;
                await output.WriteLineAsync(
                    $"ingest: {Clients} clients x {BodiesPerClient} bodies of {body / 1e6:F2} MB ({SamplesPerBody} samples x {Tokens} tokens x {Width}, f16) a round; medians of {Rounds}").ConfigureAwait(false);
                await output.WriteLineAsync($"{Machine.Description}; {bare.Version}, classic durable queues; {await Machine.VersionOfAsync("redis-server").ConfigureAwait(false)}, {persistence}").ConfigureAwait(false);
                await output.WriteLineAsync().ConfigureAwait(false);
                var (bareRates, rates, share, processor) = (new double[Rounds], new double[Rounds], new double[Rounds], new double[Rounds]);
                Machine.Share? watch = null;

                // The first rounds make the code warm and count for nothing.
                for (var round = -WarmUpRounds; round < Rounds; round++)
                {
                    var bodies = Bodies(run, recording, round + WarmUpRounds);
                    var megabytes = bodies.Sum(item => item.Body.Length) / 1e6;
                    var bareTime = await bare.RunAsync(bodies, cancellationToken).ConfigureAwait(false);
                    var before = cluster.Coordinator.ProcessorTime;
                    var time = await run.SendAsync(bodies, (long)bodies.Length * SamplesPerBody, cancellationToken).ConfigureAwait(false);
                    if (round < 0)
                    {
                        watch = Machine.Watch();
                        continue;
                    }

                    (bareRates[round], rates[round]) = (megabytes / bareTime.TotalSeconds, megabytes / time.TotalSeconds);
                    share[round] = rates[round] / bareRates[round];
                    processor[round] = (cluster.Coordinator.ProcessorTime - before).TotalMilliseconds / megabytes;
                }

                var had = watch!.CpuHad();
                report.Add("ingest", $"coordinator's intake by bare publishing and consuming, Redis {persistence}", Machine.Median(share), "P0", Target.AtLeast(0.5), had);
                await output.WriteLineAsync("bare MB/s  coordinator MB/s   share  lowest..highest share  coordinator ms CPU/MB  CPU had").ConfigureAwait(false);
                await output.WriteLineAsync(
                    $"{Machine.Median(bareRates),9:F0}  {Machine.Median(rates),16:F0}  {Machine.Median(share),6:P0}  {share.Min(),14:P0}..{share.Max(),4:P0}   "
                    + $"{Machine.Median(processor),21:F2}  {had,7:P0}").ConfigureAwait(false);
                await output.WriteLineAsync().ConfigureAwait(false);
                await output.WriteLineAsync("share: intake rate over bare rate, round by round. Target: at least 50 %. CPU had: what others left of the cores; below 95 % the machine was busy.").ConfigureAwait(false);
            }
        }
    }

    private static (int Client, byte[] Body)[] Bodies(PlayedRun run, Recording recording, int round) =>
    [
        .. Enumerable.Range(0, BodiesPerClient).SelectMany(i => Enumerable.Range(0, Clients).Select(client =>
        {
            var first = ((round * BodiesPerClient) + i) * SamplesPerBody;
            return (client, recording.Body(
                run.RunId, client, [.. run.Rows(client).Skip(first).Take(SamplesPerBody).Select(SampleId.Training)]));
        })),
    ];
}
