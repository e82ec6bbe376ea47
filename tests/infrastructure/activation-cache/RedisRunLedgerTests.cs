namespace SplitFrozen.ActivationCache.Tests;

public sealed class RedisRunLedgerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task RecordIngestedAsync_RepeatedDelivery_CountsOnlyTheNew(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var ledger = new RedisRunLedger(server.Connection);

        Assert.Equal(3, await ledger.RecordIngestedAsync("r", [1, 2, (1L << 62) + 7], Token));
        Assert.Equal(1, await ledger.RecordIngestedAsync("r", [2, 3], Token));
        Assert.Equal(0, await ledger.RecordIngestedAsync("r", [], Token));
        Assert.Equal(1, await ledger.RecordIngestedAsync("other", [2], Token));

        Assert.Equal([1, 2, 3, (1L << 62) + 7], (await ledger.IngestedAsync("r", Token)).Order());
        Assert.Empty(await ledger.IngestedAsync("none", Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task RecordStepAsync_SameSequenceAgain_KeepsTheFirst(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var ledger = new RedisRunLedger(server.Connection);

        await ledger.RecordStepAsync("r", 4, [1], Token);
        await ledger.RecordStepAsync("r", 4, [2], Token);

        Assert.Equal([1], Assert.Single(await ledger.StepsFromAsync("r", 0, Token)));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StepsFromAsync_ManySteps_GivesThoseFromTheSequenceInOrder(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var ledger = new RedisRunLedger(server.Connection);
        await Task.WhenAll(Enumerable.Range(0, 300).Reverse().Select(i => ledger.RecordStepAsync("r", i, BitConverter.GetBytes(i), Token)));

        var steps = await ledger.StepsFromAsync("r", 95, Token);

        Assert.Equal(Enumerable.Range(95, 205), steps.Select(step => BitConverter.ToInt32(step)));
        Assert.Empty(await ledger.StepsFromAsync("r", 300, Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task DeleteAsync_OneRun_LeavesTheOther(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var ledger = new RedisRunLedger(server.Connection);
        foreach (var run in new[] { "a", "b" })
        {
            await ledger.RecordIngestedAsync(run, [1, 2], Token);
            await ledger.RecordStepAsync(run, 0, [1], Token);
        }

        await ledger.DeleteAsync("a", Token);

        Assert.Empty(await ledger.IngestedAsync("a", Token));
        Assert.Empty(await ledger.StepsFromAsync("a", 0, Token));
        Assert.Equal(2, (await ledger.IngestedAsync("b", Token)).Count);
        Assert.Single(await ledger.StepsFromAsync("b", 0, Token));

        // A new run of the same name starts from nothing: the old step must not come back.
        await ledger.RecordStepAsync("a", 0, [9], Token);
        Assert.Equal([9], Assert.Single(await ledger.StepsFromAsync("a", 0, Token)));
    }
}
