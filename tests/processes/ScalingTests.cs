using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.TestOtlp;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>Device workers scaled out and in while a run is in work, as a StatefulSet does it: the highest ordinals come last and go first.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class ScalingTests : ClusterTests
{
    private const int Epochs = 12;
    private const string LongRun = "training.epochs=12";

    [Fact]
    public async Task Run_DeviceWorkersScaledFromTwoToEightToThree_GivesTheSameAdapter()
    {
        // The cache holds about half of the run's activations, so in every epoch devices are asked again: there is work for whoever comes.
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        // Whoever goes says so: the lease is as long as in a deployment, so that one of eight starting processes is not taken for dead.
        var settings = new Dictionary<string, string>(receiver.Settings("grpc")) { ["Transport__CacheBytes"] = "1048576", ["Coordinator__DeviceLease"] = "00:00:10" };
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 2, Settings = settings });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token, "--set", LongRun);
        await StepAsync(cluster, run, 3);

        cluster.AddDevices(6);
        await ServedByAsync(cluster, run, 8);
        await cluster.UntilAsync(() => Task.FromResult(Senders(receiver) == 8), () => $"eight workers have sent samples; {Senders(receiver)} have", Token);

        var leaving = cluster.Devices.Skip(3).ToArray();
        Assert.All(await Task.WhenAll(leaving.Select(device => device.TerminateAsync(Token))), code => Assert.Equal(0, code));
        await ServedByAsync(cluster, run, 3);

        var ended = await cluster.EndAsync(run, Token);
        Assert.True(ended.Summary is { Status: RunStatus.Finished, FailedSamples: 0, Reason: null }, $"{ended.Summary}\n{cluster.Logs()}");
        Assert.All(cluster.Services.Except(leaving), service => Assert.True(service.IsRunning, service.Name));
        SampleRun.AssertExactlyOnce(cluster.StepLog(run), Epochs);
        Assert.Equal(await SampleRun.ReferenceAsync(Token, LongRun), await AdapterAsync(cluster, run));
    }

    /// <summary>Waits until just the first devices serve the run's clients, each of them at least one, while the run is in work.</summary>
    private static async Task ServedByAsync(Cluster cluster, string run, int devices)
    {
        var names = Enumerable.Range(1, devices).Select(n => $"device-{n}").ToArray();
        RunDetail? detail = null;
        await cluster.UntilAsync(
            async () => (detail = await cluster.RunAsync(run, Token) ?? detail) is { } known
                && (known.Clients.Select(client => client.Device).Distinct().Order().SequenceEqual(names) || known.Summary.Status != RunStatus.Running),
            () => $"{devices} devices serve the run: {string.Join(", ", detail?.Clients ?? [])}", Token);
        Assert.True(detail!.Summary.Status == RunStatus.Running, $"The run ended before {devices} devices served it: {detail.Summary}");
    }

    /// <summary>Processes that have sent samples and had them confirmed.</summary>
    private static int Senders(OtlpReceiver receiver) =>
        receiver.Points.Where(point => point.Name == MetricNames.DeviceSamples && point.Value > 0).Select(point => point.Instance).Distinct().Count();
}
