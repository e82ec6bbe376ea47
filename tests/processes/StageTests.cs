using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>The trained blocks of a run shared by several trainers: the adapter is the one of one process, whoever dies.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class StageTests : ClusterTests
{
    [Fact]
    public async Task Run_OverFourStages_GivesTheAdapterOfOneProcessAndDrawsItsTimeline()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1, Stages = 4 });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await AssertFinishedAsync(cluster, run);
        var drawing = await File.ReadAllTextAsync(Path.Combine(cluster.Folder, "runs", run, "checkpoints", "timeline.svg"), Token);
        Assert.Contains("zb, 4 stages, 4 micro-batches: ", drawing, StringComparison.Ordinal);
        Assert.Contains("stage 4", drawing, StringComparison.Ordinal);

        // The same trainers take the next run up.
        await AssertFinishedAsync(cluster, await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token));
    }

    [Theory]
    [InlineData("planned", 3)]
    [InlineData("available", 4)]
    public async Task Run_StagesKilledAtRandom_TrainsExactlyOnceAndGivesTheSameAdapter(string order, ulong seed)
    {
        const int kills = 8;
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1, Stages = 3 });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder, order), Token);
        var killed = await KillAtRandomAsync(cluster, run, cluster.Trainers, kills, seed);
        await AssertFinishedAsync(cluster, run, order);
        Assert.Equal(kills, killed);
    }

    [Fact]
    public async Task Run_ConnectionsOfStagesCutAndBrokerRestarted_GivesTheSameAdapter()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1, Stages = 2, Proxied = true }, ownBroker: true);
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 3);
        cluster.BrokerProxy!.Cut();
        await StepAsync(cluster, run, 8);
        Assert.SkipWhen(cluster.Broker.ControlSkipReason is not null, cluster.Broker.ControlSkipReason ?? "");
        await cluster.Broker.StopAsync(Token);
        await cluster.Broker.StartAsync(Token);
        await AssertFinishedAsync(cluster, run);
    }

    [Fact]
    public async Task Run_CancelledAndResumedOverStages_GivesTheSameAdapter()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1, Stages = 2 });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 3);
        Assert.Equal(0, (await cluster.CommandAsync(Token, "cancel", run)).Code);
        await ResumeAsync(cluster, run);
        await AssertFinishedAsync(cluster, run);
    }

    [Fact]
    public async Task Run_TwoReplicasOfTwoStagesOneKilled_GivesTheBitsOfTwoReplicasInOneProcess()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1, Stages = 2, Replicas = 2 });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 5);
        var victim = cluster.Trainers[2];
        await victim.KillAsync();
        victim.Start();
        Assert.Equal(await SampleRun.ReferenceAsync(Token, "training.replicas=2"), await AdapterAsync(cluster, run));
        SampleRun.AssertExactlyOnce(cluster.StepLog(run));
    }
}
