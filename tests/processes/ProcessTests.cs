using SplitFrozen.Contracts.Api;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>The system as it is deployed: every part a process of its own over a real broker and a real cache.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class ProcessTests : ClusterTests
{
    [Fact]
    public async Task Run_EightOneClassClientsOverProcesses_GivesTheAdapterOfOneProcess()
    {
        await using var cluster = await StartAsync(3);
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        var (code, output, error) = await cluster.CommandAsync(Token, "watch", run);
        Assert.True(code == 0, error + output + cluster.Logs());
        Assert.Contains("after epoch 3", output, StringComparison.Ordinal);

        var folder = Path.Combine(cluster.Folder, "adapter");
        var downloaded = await cluster.CommandAsync(Token, "download", run, "--out", folder);
        Assert.True(downloaded.Code == 0, downloaded.Error);
        Assert.Equal(await SampleRun.ReferenceAsync(Token), await File.ReadAllBytesAsync(Path.Combine(folder, "adapter_model.safetensors"), Token));
        SampleRun.AssertExactlyOnce(cluster.StepLog(run));
        Assert.Contains(run, (await cluster.CommandAsync(Token, "runs")).Output, StringComparison.Ordinal);
        Assert.Contains("device-2", (await cluster.CommandAsync(Token, "devices")).Output, StringComparison.Ordinal);

        // A second run finds every activation in the cache.
        var again = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        var second = await cluster.CommandAsync(Token, "watch", again);
        Assert.Contains($"{SampleRun.Samples + 40} cached already", second.Output, StringComparison.Ordinal);
        await AssertSameAdapterAsync(cluster, again);
    }

    [Theory]
    [InlineData("planned", 1)]
    [InlineData("available", 2)]
    public async Task Run_ProcessesKilledAtRandom_TrainsExactlyOnceAndGivesTheSameAdapter(string order, ulong seed)
    {
        var kills = int.Parse(Environment.GetEnvironmentVariable("SPLITFROZEN_TEST_KILLS") ?? "26", System.Globalization.CultureInfo.InvariantCulture);
        await using var cluster = await StartAsync(3);
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder, order), Token);
        var killed = await KillAtRandomAsync(cluster, run, cluster.Services, kills, seed);
        await AssertFinishedAsync(cluster, run, order);
        Assert.Equal(kills, killed);
    }

    [Fact]
    public async Task Run_ServersRestarted_GivesTheSameAdapter()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 2 }, ownBroker: true);
        Assert.SkipWhen(cluster.Broker.ControlSkipReason is not null, cluster.Broker.ControlSkipReason ?? "");
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 4);
        await cluster.Broker.StopAsync(Token);
        await cluster.Broker.StartAsync(Token);
        await StepAsync(cluster, run, 14);
        await cluster.Redis.KillAsync();
        await cluster.Redis.StartAsync(Token);
        await AssertFinishedAsync(cluster, run);
    }

    [Fact]
    public async Task Run_DeviceTerminatedAndAnotherJoins_GivesTheSameAdapter()
    {
        await using var cluster = await StartAsync(2);
        await cluster.Devices[1].KillAsync();
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 2);
        cluster.Devices[1].Start();
        await StepAsync(cluster, run, 4);
        Assert.Equal(0, await cluster.Devices[0].TerminateAsync(Token));
        await AssertFinishedAsync(cluster, run);
    }

    [Fact]
    public async Task Run_AdapterTooLargeToHandOut_FailsAndSaysWhereItIs()
    {
        await using var cluster = await StartAsync(1);
        var spec = SampleRun.Write(cluster.Folder);
        var wide = File.ReadAllText(spec).Replace("rank: 4", "rank: 1900", StringComparison.Ordinal).Replace("train_limit: 240", "train_limit: 16", StringComparison.Ordinal)
            .Replace("epochs: 3", "epochs: 1", StringComparison.Ordinal).Replace("evaluation_limit: 40", "evaluation_limit: 4", StringComparison.Ordinal);
        await File.WriteAllTextAsync(spec, wide, Token);

        var run = await cluster.SubmitAsync(spec, Token);
        var end = await cluster.EndAsync(run, Token);

        Assert.Equal(RunStatus.Failed, end.Summary.Status);
        Assert.Contains("lower lora.rank", end.Summary.Reason, StringComparison.Ordinal);
        var folder = Path.Combine(cluster.Folder, "runs", run, "adapter");
        Assert.Contains(folder, end.Summary.Reason, StringComparison.Ordinal);
        Assert.True(new FileInfo(Path.Combine(folder, "adapter_model.safetensors")).Length > 64 << 20);
    }

    [Fact]
    public async Task Run_CancelledAndResumed_GivesTheSameAdapter()
    {
        await using var cluster = await StartAsync(2);
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 3);
        Assert.Equal(0, (await cluster.CommandAsync(Token, "cancel", run)).Code);
        Assert.Equal(RunStatus.Cancelled, (await cluster.EndAsync(run, Token)).Summary.Status);
        await ResumeAsync(cluster, run);
        await AssertFinishedAsync(cluster, run);
    }
}
