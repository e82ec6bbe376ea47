using System.Text.RegularExpressions;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.TestOtlp;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>What a collector gets of a real run: the traces of batches and steps across processes, the metrics, the logs.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed partial class TelemetryTests : ClusterTests
{
    private const int HeldOut = 40;
    private const string Secret = "header-of-the-test";

    [Theory]
    [InlineData("grpc")]
    [InlineData("http/protobuf")]
    public async Task Run_OverProcesses_IsToldToACollector(string protocol)
    {
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        var settings = new Dictionary<string, string>(receiver.Settings(protocol)) { ["OTEL_EXPORTER_OTLP_HEADERS"] = $"authorization={Secret}" };
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 2, Settings = settings, LogLevel = "Debug" });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await AssertFinishedAsync(cluster, run);
        foreach (var service in cluster.Services.Reverse())
        {
            // What is on its way is sent before a process ends.
            Assert.Equal(0, await service.TerminateAsync(Token));
        }

        var tree = new TraceTree(receiver.Spans);
        var batches = tree.AssertBatches("rabbitmq");
        tree.AssertSteps("rabbitmq", batches, SampleRun.Steps);
        Assert.Equal(
            ["splitfrozen-coordinator", "splitfrozen-device-worker", "splitfrozen-trainer"],
            receiver.Spans.Where(span => span.Source.StartsWith("SplitFrozen.", StringComparison.Ordinal)).Select(span => span.Service).Distinct().Order());
        Assert.DoesNotContain(receiver.Spans, span => span.Source.StartsWith("RabbitMQ.Client", StringComparison.Ordinal));
        AssertMetrics(receiver.Points, batches.Count, tree.Named(SpanNames.Checkpoint).Count());
        AssertLogs(receiver.LogRecords, tree);
        var everything = receiver.Everything;
        Assert.DoesNotContain(Secret, everything, StringComparison.Ordinal);
        Assert.DoesNotMatch(Credentials(), everything);
    }

    [Fact]
    public async Task Run_InOneProcess_IsToldAlike()
    {
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        var folder = Directory.CreateTempSubdirectory("splitfrozen-telemetry-");
        var (code, _, error) = await Programs.CommandAsync(
            receiver.Settings("http/protobuf"), Token,
            "run", SampleRun.Write(folder.FullName), "--out", Path.Combine(folder.FullName, "run"), "--set", $"cache.directory={folder.FullName}/cache", "--json");
        Assert.True(code == 0, error);
        folder.Delete(recursive: true);

        var tree = new TraceTree(receiver.Spans);
        tree.AssertSteps("in_process", tree.AssertBatches("in_process"), SampleRun.Steps);
        Assert.All(receiver.Spans, span => Assert.Equal("splitfrozen", span.Service));
        var sums = new MetricSums(receiver.Points);
        Assert.Equal(SampleRun.Samples + HeldOut, sums.Of(MetricNames.IntakeSamples));
        Assert.Equal(0, sums.Of(MetricNames.QueueBytes));
    }

    private static void AssertMetrics(IReadOnlyList<ReceivedPoint> points, int batches, int checkpoints)
    {
        var sums = new MetricSums(points);
        Assert.Equal(SampleRun.Samples + HeldOut, sums.Of(MetricNames.IntakeSamples));
        Assert.Equal(SampleRun.Samples + HeldOut, sums.Of(MetricNames.DeviceSamples));
        Assert.Equal(SampleRun.Samples, sums.Of(MetricNames.IntakeSamples, TelemetryNames.Client, client => client != "evaluation"));
        Assert.Equal(9, points.Where(point => point.Name == MetricNames.IntakeSamples).Select(point => point.Attributes[TelemetryNames.Client]).Distinct().Count());
        Assert.Equal(0, sums.Of(MetricNames.IntakeBytesInFlight));
        Assert.Equal((ulong)batches, sums.CountOf(MetricNames.DeviceForward));
        Assert.True(sums.Of(MetricNames.IntakeBytes) > 0);
        Assert.True(sums.CountOf(MetricNames.PublishDuration) >= (ulong)batches);
        Assert.Equal(SampleRun.Steps, sums.Of(MetricNames.TrainerSteps));
        Assert.Equal(SampleRun.Steps, sums.Of(MetricNames.StepsComposed, TelemetryNames.StepKind, kind => kind == "train"));
        Assert.Equal(SampleRun.Epochs * SampleRun.Samples, sums.Of(MetricNames.TrainerSamples));
        Assert.Equal(
            SampleRun.Epochs * sums.Of(MetricNames.IntakeSamples, TelemetryNames.Client, client => client == "client-1"),
            sums.Of(MetricNames.TrainerSamples, TelemetryNames.Client, client => client == "client-1"));
        Assert.Equal((ulong)checkpoints, sums.CountOf(MetricNames.CheckpointDuration));
        Assert.True(sums.Of(MetricNames.TrainerCompute) > 0 && sums.Of(MetricNames.TrainerWait) > 0 && sums.Of(MetricNames.TrainerTokens) > 0);
        Assert.True(sums.Of(MetricNames.CacheHits, TelemetryNames.CacheOperation, kind => kind == "fetch") >= SampleRun.Epochs * SampleRun.Samples);
        Assert.Equal(0, sums.Of(MetricNames.CacheMisses, TelemetryNames.CacheOperation, kind => kind == "fetch"));
        Assert.True(sums.Of(MetricNames.CacheMisses, TelemetryNames.CacheOperation, kind => kind == "check") >= SampleRun.Samples + HeldOut);
        Assert.InRange(points.Last(point => point.Name == MetricNames.TrainerLoss).Value, 0, 2);
        Assert.DoesNotContain(points, point => point.Name == MetricNames.Refused);
        Assert.Contains(points, point => point.Name == "dotnet.process.memory.working_set");
    }

    private static void AssertLogs(IReadOnlyList<ReceivedLog> logs, TraceTree tree)
    {
        Assert.Equal(["splitfrozen-coordinator", "splitfrozen-device-worker", "splitfrozen-trainer"], logs.Select(log => log.Service).Distinct().Order());
        var composed = tree.Named(SpanNames.ComposeStep).ToDictionary(span => span.SpanId, span => span.TraceId);
        var within = logs.Where(log => log.Body.Contains("is composed of", StringComparison.Ordinal)).ToArray();
        Assert.Equal(composed.Count, within.Length);
        Assert.All(within, log => Assert.Equal(composed[log.SpanId], log.TraceId));
    }

    [GeneratedRegex("""://[^/\s"@]+:[^/\s"@]+@""")]
    private static partial Regex Credentials();
}

/// <summary>The last points of metrics that only grow, or that go up and down, added over processes and attributes.</summary>
internal sealed class MetricSums(IReadOnlyList<ReceivedPoint> points)
{
    private readonly ReceivedPoint[] _last = [.. points
        .GroupBy(point => (point.Instance, point.Name, string.Join(',', point.Attributes.OrderBy(pair => pair.Key, StringComparer.Ordinal))))
        .Select(group => group.Last())];

    public double Of(string name) => _last.Where(point => point.Name == name).Sum(point => point.Value);

    public double Of(string name, string attribute, Func<string, bool> fits) =>
        _last.Where(point => point.Name == name && fits(point.Attributes[attribute])).Sum(point => point.Value);

    public ulong CountOf(string name) => _last.Where(point => point.Name == name).Aggregate(0UL, (sum, point) => sum + point.Count);
}
