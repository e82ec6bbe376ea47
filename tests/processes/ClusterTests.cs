using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>What tests of a cluster do again and again.</summary>
public abstract class ClusterTests
{
    /// <summary>Each test has a broker, a cache and five processes: two clusters at once would only wait for each other on two cores.</summary>
    public const string OneAtATime = "clusters";

    private protected static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>Starts a cluster; skips the test where no servers are to be had.</summary>
    /// <param name="options">What it is made of.</param>
    /// <param name="ownBroker">For a test that stops the broker, restarts it, or adds users to it.</param>
    private protected static async Task<Cluster> StartAsync(ClusterOptions options, bool ownBroker = false)
    {
        var shared = ownBroker ? null : await (await TestContext.Current.GetFixture<SharedBroker>())!.ServerAsync();
        var cluster = await Cluster.StartAsync(options with { SharedBroker = shared }, Token);
        if (cluster.SkipReason is { } reason)
        {
            await cluster.DisposeAsync();
            Assert.Skip(reason);
        }

        return cluster;
    }

    private protected static Task<Cluster> StartAsync(int devices) => StartAsync(new ClusterOptions { Devices = devices });

    /// <summary>Waits until a run has applied some steps, or has ended.</summary>
    private protected static Task StepAsync(Cluster cluster, string run, int step)
    {
        RunDetail? detail = null;
        return cluster.UntilAsync(
            async () => (detail = await cluster.RunAsync(run, Token)) is { } known && (known.Summary.Step >= step || known.Summary.Status is RunStatus.Finished or RunStatus.Failed),
            () => $"step {step}; {detail?.Summary}", Token);
    }

    /// <summary>Kills processes without warning and starts them again at once, at moments that follow from the run's own progress and not from the clock.</summary>
    /// <returns>How many were killed before the run ended.</returns>
    private protected static async Task<int> KillAtRandomAsync(Cluster cluster, string run, IReadOnlyList<Service> victims, int kills, ulong seed)
    {
        var random = new SeededRandom(seed);
        var killed = 0;
        var from = 0;
        while (killed < kills)
        {
            // The moment follows from the run's own progress and not from the clock.
            var wanted = from + random.NextInt32(2);
            RunDetail? detail = null;
            await cluster.UntilAsync(
                async () => (detail = await cluster.RunAsync(run, Token)) is not null && (detail.Summary.Step >= wanted || detail.Summary.Status != RunStatus.Running),
                () => $"step {wanted} after {killed} kills; {detail?.Summary}", Token);
            if (detail!.Summary.Status is not (RunStatus.Running or RunStatus.Pending))
            {
                break;
            }

            from = Math.Max(detail.Summary.Step, from);
            var victim = victims[random.NextInt32(victims.Count)];
            await victim.KillAsync();
            victim.Start();
            killed++;
        }

        return killed;
    }

    /// <summary>Resumes a run that has stopped or is about to.</summary>
    private protected static async Task ResumeAsync(Cluster cluster, string run)
    {
        var resumed = (Code: 2, Output: "", Error: "");
        await cluster.UntilAsync(
            async () => (resumed = await cluster.CommandAsync(Token, "resume", run)).Code == 0 || !resumed.Error.Contains("still stopping", StringComparison.Ordinal),
            () => "the run has stopped", Token);
        Assert.True(resumed.Code == 0, resumed.Error);
        await cluster.UntilAsync(
            async () => await cluster.RunAsync(run, Token) is { Summary.Status: not (RunStatus.Failed or RunStatus.Cancelled) }, () => "the run is in work again", Token);
    }

    /// <summary>The run finishes, with every sample once an epoch and, in planned order, the adapter of one process.</summary>
    private protected static async Task AssertFinishedAsync(Cluster cluster, string run, string order = "planned")
    {
        var ended = await cluster.EndAsync(run, Token);
        Assert.True(ended.Summary.Status == RunStatus.Finished, $"{ended.Summary}\n{cluster.Logs()}");
        SampleRun.AssertExactlyOnce(cluster.StepLog(run));
        if (order == "planned")
        {
            await AssertSameAdapterAsync(cluster, run);
        }
    }

    private protected static async Task AssertSameAdapterAsync(Cluster cluster, string run) =>
        Assert.Equal(await SampleRun.ReferenceAsync(Token), await AdapterAsync(cluster, run));

    /// <summary>The adapter of a run that has ended, or is about to.</summary>
    private protected static async Task<byte[]> AdapterAsync(Cluster cluster, string run)
    {
        await cluster.EndAsync(run, Token);
        return await cluster.ArtifactAsync(run, "adapter_model.safetensors", Token);
    }
}
