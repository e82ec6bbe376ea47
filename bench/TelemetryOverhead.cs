using SplitFrozen.TestOtlp;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>
/// What telemetry costs: the same run over processes with every trace, metric and log sent to a collector, by what the same run takes
/// without. Two clusters take turns, so that both meet the same machine; the collector is this process and is not counted, as it runs elsewhere.
/// Methods are compiled once and for good in the rounds before, since compiling them again would take several times what is measured here.
/// </summary>
internal static class TelemetryOverhead
{
    private const int Epochs = 2;
    private const int WarmUps = 2;
    private const int Rounds = 9;

    internal static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        var output = report.Output;
        var receiver = await OtlpReceiver.StartAsync(cancellationToken, keeps: false).ConfigureAwait(false);
        await using var owned = receiver.ConfigureAwait(false);
        if (await StartAsync(report, new Dictionary<string, string>(), cancellationToken).ConfigureAwait(false) is not { } without)
        {
            return;
        }

        await using var ownedWithout = without.ConfigureAwait(false);
        if (await StartAsync(report, receiver.Endpoint("grpc"), cancellationToken).ConfigureAwait(false) is not { } with)
        {
            return;
        }

        await using var ownedWith = with.ConfigureAwait(false);
        await output.WriteLineAsync(
            $"telemetry: samples/demo.yaml, {Epochs} epochs, one device worker; processes over RabbitMQ and Redis; OTLP over gRPC, every trace sampled; medians of {Rounds} rounds").ConfigureAwait(false);
        await output.WriteLineAsync(Machine.Description).ConfigureAwait(false);
        await output.WriteLineAsync().ConfigureAwait(false);
        for (var warmUp = 0; warmUp < WarmUps; warmUp++)
        {
            await PlayAsync(without, cancellationToken).ConfigureAwait(false);
            await PlayAsync(with, cancellationToken).ConfigureAwait(false);
        }

        await output.WriteLineAsync("round  processor s without      with  ratio   run s without   with  ratio").ConfigureAwait(false);
        var watch = Machine.Watch();
        var (processor, seconds, more, requests) = (new List<double>(), new List<double>(), new List<double[]>(), receiver.Requests);
        for (var round = 1; round <= Rounds; round++)
        {
            // Who goes first changes: the second finds a warmer machine.
            var first = await PlayAsync(round % 2 == 0 ? with : without, cancellationToken).ConfigureAwait(false);
            var second = await PlayAsync(round % 2 == 0 ? without : with, cancellationToken).ConfigureAwait(false);
            var (bare, traced) = round % 2 == 0 ? (second, first) : (first, second);
            processor.Add(traced.Processor.Sum() / bare.Processor.Sum());
            more.Add([.. traced.Processor.Zip(bare.Processor, (has, had) => has - had)]);
            seconds.Add(traced.Seconds / bare.Seconds);
            await output.WriteLineAsync(
                $"{round,5}  {bare.Processor.Sum(),19:F2}  {traced.Processor.Sum(),8:F2}  {processor[^1],5:F3}  {bare.Seconds,14:F2}  {traced.Seconds,5:F2}  {seconds[^1],5:F3}").ConfigureAwait(false);
        }

        var had = watch.CpuHad();
        report.Add("telemetry", "processor time with everything sent to a collector by that without", Machine.Median(processor), "F3", Target.AtMost(1.02), had);
        report.Add("telemetry", "run time with everything sent to a collector by that without", Machine.Median(seconds), "F3", Target.AtMost(1.02), had);
        await output.WriteLineAsync().ConfigureAwait(false);
        await output.WriteLineAsync(
            $"median ratio: processor time {Machine.Median(processor):F3}, run {Machine.Median(seconds):F3}. Target: at most 1.02. "
            + $"{receiver.Requests - requests} requests came; CPU had {had:P0}.").ConfigureAwait(false);
        var services = with.Services.Select((service, i) => $"{service.Name} {Machine.Median(more.Select(round => round[i])):F2}");
        await output.WriteLineAsync($"processor seconds more, medians: {string.Join(", ", services)}").ConfigureAwait(false);
    }

    private static Task<Cluster?> StartAsync(Report report, IReadOnlyDictionary<string, string> settings, CancellationToken cancellationToken) => BenchCluster.StartAsync(
        report, "telemetry",
        new ClusterOptions { Devices = 1, AppendFsync = "everysec", Settings = new Dictionary<string, string>(settings) { ["DOTNET_TieredCompilation"] = "0" } }, cancellationToken);

    private static async Task<DemoRun> PlayAsync(Cluster cluster, CancellationToken cancellationToken)
    {
        await cluster.Redis.DeleteAsync("act:", cancellationToken).ConfigureAwait(false);
        return await DemoRun.PlayAsync(cluster, Epochs, "f16", cancellationToken).ConfigureAwait(false);
    }
}
