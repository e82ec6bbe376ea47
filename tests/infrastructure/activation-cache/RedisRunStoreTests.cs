using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.ActivationCache.Tests;

public sealed class RedisRunStoreTests
{
    private static readonly RunSpec s_spec = new()
    {
        Name = "first",
        Model = new ModelSpec { Path = "m", Boundary = 3 },
        Lora = new LoraSpec { Targets = ["c_attn"] },
        Task = new TaskSpec { Kind = "classification", Train = "t.tsv", Evaluation = "e.tsv", TextColumns = ["ä"], TrainLimit = 7 },
        Clients = new ClientsSpec { Count = 2, Cuts = [1, 2] },
        Device = new DeviceSpec { WireType = WireType.BFloat16 },
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task FindAsync_EverythingSet_GivesItBack(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisRunStore(server.Connection, TimeProvider.System);
        await store.CreateAsync("r", s_spec, Token);
        var facts = new RunFacts("ff", 8, false, 3, ["a", "b", "c"], 0.125, 100, 1L << 40);
        RunClient[] clients = [new("client-1", "pi", 2, "because"), new("evaluation", null, 3, "because")];

        var fresh = (await store.FindAsync("r", Token))!;
        await store.SetStepAsync("r", 5, Token);
        await store.SetTotalStepsAsync("r", 9, Token);
        await store.SetFactsAsync("r", facts, Token);
        await store.SetClientsAsync("r", clients, Token);
        Assert.True(await store.TryChangeAsync("r", [RunStatus.Pending], RunStatus.Failed, "a reason", Token));
        var run = (await store.FindAsync("r", Token))!;

        Assert.Equal((RunStatus.Pending, 0, 0, null, null, true), (fresh.Status, fresh.Step, fresh.TotalSteps, fresh.Reason, fresh.Facts, fresh.IsOpen));
        Assert.Empty(fresh.Clients);
        Assert.Equivalent(s_spec, fresh.Spec, strict: true);
        Assert.Equal(new RunSummary("r", "first", RunStatus.Failed, fresh.Created, 5, 9, 0, "a reason"), run.Summary);
        Assert.Equivalent(facts, run.Facts, strict: true);
        Assert.Equal(clients, run.Clients);
        Assert.Null(await store.FindAsync("none", Token));
        await Assert.ThrowsAsync<CacheException>(() => store.CreateAsync("r", s_spec, Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task TryChangeAsync_ManyAtOnce_OneSucceeds(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisRunStore(server.Connection, TimeProvider.System);
        await store.CreateAsync("r", s_spec, Token);
        var changed = await Task.WhenAll(Enumerable.Range(0, 16).Select(i =>
            store.TryChangeAsync("r", [RunStatus.Pending, RunStatus.Running], i % 2 == 0 ? RunStatus.Cancelled : RunStatus.Finished, null, Token)));
        Assert.Single(changed, succeeded => succeeded);
        Assert.False(await store.TryChangeAsync("none", [RunStatus.Pending], RunStatus.Running, null, Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task TryResumeAsync_OnlyAfterTheEndIsCarriedOut(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisRunStore(server.Connection, TimeProvider.System);
        await store.CreateAsync("a", s_spec, Token);
        await store.CreateAsync("b", s_spec, Token);
        Assert.False(await store.TryResumeAsync("a", Token));
        await store.TryChangeAsync("a", [RunStatus.Pending], RunStatus.Failed, "why", Token);
        Assert.False(await store.TryResumeAsync("a", Token));
        await store.CloseAsync("a", Token);
        Assert.Equal(["b"], (await store.ListOpenAsync(Token)).Select(run => run.RunId));

        Assert.True(await store.TryResumeAsync("a", Token));
        var run = (await store.FindAsync("a", Token))!;
        Assert.Equal((RunStatus.Pending, null, true), (run.Status, run.Reason, run.IsOpen));
        Assert.Equal(["a", "b"], (await store.ListOpenAsync(Token)).Select(open => open.RunId).Order());
        Assert.Equal(["a", "b"], (await store.ListAsync(Token)).Select(open => open.RunId).Order());
        Assert.False(await store.TryResumeAsync("none", Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task Deletion_OfARunWhoseEndIsRecorded_LeavesNothingAndKeepsItFromBeingResumed(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisRunStore(server.Connection, TimeProvider.System);
        await store.CreateAsync("a", s_spec, Token);
        await store.AppendEventAsync("a", "event", Token);
        await store.TryChangeAsync("a", [RunStatus.Pending], RunStatus.Failed, "why", Token);
        Assert.False(await store.TryBeginDeletionAsync("a", Token));
        Assert.False(await store.TryBeginDeletionAsync("none", Token));
        await store.CloseAsync("a", Token);

        Assert.False(await store.WasDeletedAsync("a", Token));
        Assert.True(await store.TryBeginDeletionAsync("a", Token));
        Assert.False(await store.TryResumeAsync("a", Token));
        Assert.True(await store.TryBeginDeletionAsync("a", Token));
        await store.DeleteAsync("a", Token);

        Assert.Null(await store.FindAsync("a", Token));
        Assert.Empty(await store.ListAsync(Token));
        Assert.Empty((await store.ReadEventsAsync("a", 0, 10, Token)).Lines);
        Assert.Equal(0, await store.CountEventsAsync("a", Token));
        Assert.True(await store.WasDeletedAsync("a", Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task ReadEventsAsync_MoreThanAreKept_NumbersStayAndTheOldestLeave(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisRunStore(server.Connection, TimeProvider.System, maximumEvents: 40);
        Assert.Empty((await store.ReadEventsAsync("r", 0, 10, Token)).Lines);
        for (var i = 0; i < 100; i++)
        {
            await store.AppendEventAsync("r", $"{i}", Token);
        }

        Assert.Equal(100, await store.CountEventsAsync("r", Token));
        var kept = await store.ReadEventsAsync("r", 0, 1000, Token);
        Assert.InRange(kept.Lines.Count, 38, 40);
        Assert.Equal(Enumerable.Range((int)kept.First, kept.Lines.Count).Select(i => $"{i}"), kept.Lines);
        Assert.Equal("99", kept.Lines[^1]);
        var some = await store.ReadEventsAsync("r", 90, 5, Token);
        Assert.Equal((90, "90", 5), (some.First, some.Lines[0], some.Lines.Count));
        Assert.Empty((await store.ReadEventsAsync("r", 100, 5, Token)).Lines);
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task NextStartAsync_ManyAtOnce_NeverRepeats(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisRunStore(server.Connection, TimeProvider.System);
        var starts = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => store.NextStartAsync(Token)));
        var first = starts.Min();
        Assert.Equal(Enumerable.Range(0, 50).Select(n => first + n), starts.Order());

        // A server that has lost everything goes on from the clock.
        Assert.True(first > 365 * 24 * 3600, "the clock stands beyond 2025");
    }
}
