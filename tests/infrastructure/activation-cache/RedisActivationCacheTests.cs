using System.Runtime.InteropServices;
using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.ActivationCache.Tests;

public sealed class RedisActivationCacheTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task FetchAsync_StoredAndMissingKeys_KeepsTheOrder(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        using var cache = new RedisActivationCache(server.Connection, 1 << 30);
        string[] keys = [.. Enumerable.Range(0, 100).Select(i => $"act:{i}")];
        await Task.WhenAll(Enumerable.Range(0, 100).Where(i => i % 3 != 0).Select(i => cache.StoreAsync(keys[i], Entry(i, 1000 * i), Token)));

        string[] asked = [.. keys.Reverse()];
        var entries = await cache.FetchAsync(asked, Token);
        var present = await cache.ContainsAsync(asked, Token);

        for (var i = 0; i < 100; i++)
        {
            Assert.Equal(i % 3 == 0 ? null : Entry(i, 1000 * i), entries[99 - i]);
            Assert.Equal(i % 3 != 0, present[99 - i]);
        }

        Assert.Empty(await cache.FetchAsync([], Token));
        Assert.Empty(await cache.ContainsAsync([], Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StoreAsync_LargeEntry_ComesBackWhole(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        using var cache = new RedisActivationCache(server.Connection, 1 << 30);

        await cache.StoreAsync("act:large", Entry(5, 12 << 20), Token);

        Assert.Equal(Entry(5, 12 << 20), Assert.Single(await cache.FetchAsync(["act:large"], Token)));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StoreAsync_SameKeyAgain_CountsOnceAndRepairsTheEntry(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        using var cache = new RedisActivationCache(server.Connection, 1 << 30);
        await cache.StoreAsync("act:a", Entry(2, 1000), Token);
        var bytes = await cache.BytesAsync(Token);

        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => cache.StoreAsync("act:a", Entry(1, 1000), Token)));

        Assert.Equal(bytes, await cache.BytesAsync(Token));
        Assert.InRange(bytes, 1000, 2000);
        Assert.Equal(Entry(1, 1000), Assert.Single(await cache.FetchAsync(["act:a"], Token)));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StoreAsync_NewAndKnownKeysTogether_CountsEachOnceAndRepairs(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        using var cache = new RedisActivationCache(server.Connection, 1 << 30);
        await cache.StoreAsync([], Token);
        Assert.Equal(0, await cache.BytesAsync(Token));
        await cache.StoreAsync([new("act:a", Entry(2, 1000)), new("act:b", Entry(3, 2000))], Token);
        var bytes = await cache.BytesAsync(Token);

        // One that was damaged, one that is new, and one that is there twice.
        await cache.StoreAsync([new("act:a", Entry(1, 1000)), new("act:c", Entry(4, 3000)), new("act:c", Entry(4, 3000))], Token);

        Assert.InRange(await cache.BytesAsync(Token) - bytes, 3000, 4000);
        var entries = await cache.FetchAsync(["act:a", "act:b", "act:c"], Token);
        Assert.Equal([Entry(1, 1000), Entry(3, 2000), Entry(4, 3000)], entries);
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StoreAsync_BatchesAtOnceBeyondTheBound_StaysBoundedAndKeepsWhatItCounts(string kind)
    {
        const int Bound = 4 << 20;
        const int Size = 10_000;
        await using var server = await CacheServer.StartAsync(kind, Token);
        using var first = new RedisActivationCache(server.Connection, Bound);
        using var second = new RedisActivationCache(server.Connection, Bound);
        string[] keys = [.. Enumerable.Range(0, 1600).Select(i => $"act:{i}")];

        await Task.WhenAll(keys.Chunk(16).Select((part, n) => (n % 2 == 0 ? first : second).StoreAsync(
            [.. part.Select((key, i) => new CacheEntry(key, Entry((n * 16) + i, Size)))], Token)));
        await first.StoreAsync([.. Enumerable.Range(0, 16).Select(i => new CacheEntry($"act:last-{i}", Entry(i, Size)))], Token);

        var bytes = await second.BytesAsync(Token);
        Assert.InRange(bytes, 1, Bound);
        var present = await first.ContainsAsync([.. keys, .. Enumerable.Range(0, 16).Select(i => $"act:last-{i}")], Token);
        Assert.All(present.TakeLast(16), Assert.True);
        Assert.InRange(present.Count(there => there) * (long)Size, Bound / 2, bytes);
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StoreAsync_BeyondTheBound_EvictsTheOldest(string kind)
    {
        const int Bound = 4 << 20;
        await using var server = await CacheServer.StartAsync(kind, Token);
        using var cache = new RedisActivationCache(server.Connection, Bound);
        string[] keys = [.. Enumerable.Range(0, 1500).Select(i => $"act:{i}")];
        var highest = 0L;
        for (var i = 0; i < keys.Length; i++)
        {
            await cache.StoreAsync(keys[i], Entry(i, 9_000 + i), Token);
            highest = Math.Max(highest, await cache.BytesAsync(Token));
        }

        var entries = await cache.FetchAsync(keys, Token);
        var kept = entries.Sum(entry => entry?.Length ?? 0);
        var oldest = Array.FindIndex(entries, entry => entry is not null);

        Assert.InRange(highest, Bound / 2, Bound);
        Assert.InRange(kept, Bound * 3 / 4, Bound);
        Assert.All(entries.Skip(oldest), Assert.NotNull);
        Assert.InRange(oldest, 1000, 1450);

        // What was evicted may come back, and leaves again in its turn.
        await cache.StoreAsync(keys[0], Entry(0, 9_000), Token);
        Assert.True((await cache.ContainsAsync([keys[0]], Token))[0]);
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StoreAsync_ManyAtOnceBeyondTheBound_StaysBounded(string kind)
    {
        const int Bound = 2 << 20;
        await using var server = await CacheServer.StartAsync(kind, Token);
        using var first = new RedisActivationCache(server.Connection, Bound);
        using var second = new RedisActivationCache(server.Connection, Bound);

        await Task.WhenAll(Enumerable.Range(0, 1000).Select(i => (i % 2 == 0 ? first : second).StoreAsync($"act:{i}", Entry(i, 10_000), Token)));
        await first.StoreAsync("act:last", Entry(1, 10_000), Token);

        Assert.InRange(await second.BytesAsync(Token), 1, Bound);
        var present = await first.ContainsAsync([.. Enumerable.Range(0, 1000).Select(i => $"act:{i}"), "act:last"], Token);
        Assert.InRange(present.Count(there => there), 150, Bound / 10_000);
    }

    [Fact]
    public async Task FetchAsync_Cancelled_Throws()
    {
        await using var server = await CacheServer.StartAsync(CacheServer.Embedded, Token);
        using var cache = new RedisActivationCache(server.Connection, 1 << 30);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cache.FetchAsync(["act:a"], new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task ConnectAsync_NobodyThere_SaysSo()
    {
        var exception = await Assert.ThrowsAsync<CacheException>(() => CacheConnection.ConnectAsync("127.0.0.1:1,connectTimeout=500,connectRetry=1", Token));
        Assert.Contains("127.0.0.1:1", exception.Message, StringComparison.Ordinal);
    }

    internal static byte[] Entry(int seed, int length)
    {
        var random = new SeededRandom((ulong)seed);
        var bytes = new byte[(length + 7) & ~7];
        foreach (ref var word in MemoryMarshal.Cast<byte, ulong>(bytes.AsSpan()))
        {
            word = random.NextUInt64();
        }

        return bytes[..length];
    }
}
