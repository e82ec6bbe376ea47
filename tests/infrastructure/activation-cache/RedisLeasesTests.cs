namespace SplitFrozen.ActivationCache.Tests;

public sealed class RedisLeasesTests
{
    private static readonly TimeSpan s_long = TimeSpan.FromMinutes(1);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task TryTakeAsync_WhileHeld_GivesNothingToAnybody(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var leases = new RedisLeases(server.Connection);

        Assert.Equal(new Lease("coordinator", "a", 1), await leases.TryTakeAsync("coordinator", "a", s_long, Token));
        Assert.Null(await leases.TryTakeAsync("coordinator", "b", s_long, Token));
        Assert.Null(await leases.TryTakeAsync("coordinator", "a", s_long, Token));
        Assert.Equal(new Lease("other", "b", 1), await leases.TryTakeAsync("other", "b", s_long, Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task ReleaseAsync_Held_LetsTheNextHaveAGreaterEpoch(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var leases = new RedisLeases(server.Connection);
        for (var epoch = 1; epoch <= 5; epoch++)
        {
            var lease = await leases.TryTakeAsync("x", $"owner-{epoch}", s_long, Token);
            Assert.Equal(epoch, lease?.Epoch);
            Assert.True(await leases.ReleaseAsync(lease!, Token));
            Assert.False(await leases.ReleaseAsync(lease!, Token));
        }
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task ExtendAsync_AfterTheLeaseEndedAndAnotherTookIt_FailsAndLeavesTheOther(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var leases = new RedisLeases(server.Connection);
        var lost = await leases.TryTakeAsync("x", "a", TimeSpan.FromMilliseconds(30), Token);
        Lease? next = null;
        await WaitAsync(async () => (next = await leases.TryTakeAsync("x", "b", s_long, Token)) is not null);

        Assert.False(await leases.ExtendAsync(lost!, s_long, Token));
        Assert.False(await leases.ReleaseAsync(lost!, Token));
        Assert.True(await leases.ExtendAsync(next!, s_long, Token));
        Assert.True(next!.Epoch > lost!.Epoch);
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task ExtendAsync_BeforeTheEnd_KeepsTheLeaseBeyondIt(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var leases = new RedisLeases(server.Connection);
        var kept = await leases.TryTakeAsync("kept", "a", TimeSpan.FromSeconds(2), Token);
        Assert.True(await leases.ExtendAsync(kept!, s_long, Token));
        var witness = await leases.TryTakeAsync("witness", "a", TimeSpan.FromSeconds(2), Token);

        // The witness was taken later and ends first: so the kept one has outlived its first time.
        await WaitAsync(async () => await leases.TryTakeAsync("witness", "b", s_long, Token) is not null);
        Assert.NotNull(witness);
        Assert.Null(await leases.TryTakeAsync("kept", "b", s_long, Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task TryTakeAsync_ManyAtOnce_OneHolderAtATimeAndEpochsGrowInTheirOrder(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var leases = new RedisLeases(server.Connection);
        var gate = new Lock();
        var epochs = new List<long>();
        var holders = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async owner =>
        {
            for (var taken = 0; taken < 5;)
            {
                if (await leases.TryTakeAsync("x", $"{owner}", s_long, Token) is not { } lease)
                {
                    await Task.Yield();
                    continue;
                }

                lock (gate)
                {
                    Assert.Equal(1, ++holders);
                    epochs.Add(lease.Epoch);
                    holders--;
                }

                taken++;
                Assert.True(await leases.ReleaseAsync(lease, Token));
            }
        }));
        Assert.Equal(40, epochs.Distinct().Count());
        Assert.Equal(epochs.Order(), epochs);
    }

    private static async Task WaitAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!await condition())
        {
            Assert.False(limit.IsCancellationRequested, "the condition did not come in time");
            await Task.Delay(5, Token);
        }
    }
}
