using System.Security.Cryptography;
using SplitFrozen.Contracts.Api;
using StackExchange.Redis;

namespace SplitFrozen.ActivationCache.Tests;

public sealed class RedisArtifactStoreTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(CacheServer.Embedded, 0)]
    [InlineData(CacheServer.Embedded, 1)]
    [InlineData(CacheServer.Embedded, (8 << 20) + 3)]
    [InlineData(CacheServer.Redis, 0)]
    [InlineData(CacheServer.Redis, 8 << 20)]
    [InlineData(CacheServer.Redis, 17 << 20)]
    public async Task FetchAsync_Stored_GivesTheSameBytes(string kind, int size)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisArtifactStore(server.Connection);
        var bytes = Bytes(size, 1);

        await store.StoreAsync("r", "adapter_model.safetensors", bytes, Token);

        var found = await store.FetchAsync("r", "adapter_model.safetensors", Token);
        Assert.True(bytes.AsSpan().SequenceEqual(found));
        Assert.Null(await store.FetchAsync("r", "other", Token));
        Assert.Null(await store.FetchAsync("other", "adapter_model.safetensors", Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task StoreAsync_SameNameAgain_ReplacesAndDeletesRemoveAll(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisArtifactStore(server.Connection);
        await store.StoreAsync("r", "b", Bytes(9 << 20, 1), Token);
        await store.StoreAsync("r", "b", Bytes(10, 2), Token);
        await store.StoreAsync("r", "a", Bytes(10, 3), Token);
        await store.StoreAsync("other", "a", Bytes(10, 4), Token);

        Assert.Equal([Artifact("a", Bytes(10, 3)), Artifact("b", Bytes(10, 2))], await store.ListAsync("r", Token));
        Assert.Equal(Bytes(10, 2), await store.FetchAsync("r", "b", Token));

        await store.DeleteAsync("r", Token);
        Assert.Empty(await store.ListAsync("r", Token));
        Assert.Null(await store.FetchAsync("r", "b", Token));
        Assert.Equal(Bytes(10, 4), await store.FetchAsync("other", "a", Token));
    }

    [Theory]
    [InlineData(CacheServer.Embedded)]
    [InlineData(CacheServer.Redis)]
    public async Task FetchAsync_WhileReplaced_GivesOneOrTheOtherWhole(string kind)
    {
        await using var server = await CacheServer.StartAsync(kind, Token);
        var store = new RedisArtifactStore(server.Connection);
        await store.StoreAsync("r", "a", Bytes(1000, 0), Token);
        var writing = Task.Run(async () =>
        {
            for (byte i = 1; i <= 40; i++)
            {
                await store.StoreAsync("r", "a", Bytes(1000, i), Token);
            }
        }, Token);
        do
        {
            var bytes = await store.FetchAsync("r", "a", Token);
            Assert.Equal(1000, bytes!.Length);
            Assert.Single(bytes.Select((value, i) => (byte)(value - i)).Distinct());
        }
        while (!writing.IsCompleted);
        await writing;
    }

    [Fact]
    public async Task StoreAsync_TooLarge_SaysTheBoundAndWhatToDo()
    {
        await using var server = await CacheServer.StartAsync(CacheServer.Embedded, Token);
        var store = new RedisArtifactStore(server.Connection);
        var error = await Assert.ThrowsAsync<CacheException>(() => store.StoreAsync("r", "a", new byte[RedisArtifactStore.MaximumBytes + 1], Token));
        Assert.Contains($"{RedisArtifactStore.MaximumBytes}", error.Message, StringComparison.Ordinal);
        Assert.Contains("lora.rank", error.Message, StringComparison.Ordinal);
        Assert.Empty(await store.ListAsync("r", Token));
    }

    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("a:b")]
    [InlineData("ä")]
    [InlineData("a b")]
    public async Task StoreAsync_OtherCharacters_Refuses(string name)
    {
        await using var server = await CacheServer.StartAsync(CacheServer.Embedded, Token);
        var store = new RedisArtifactStore(server.Connection);
        await Assert.ThrowsAsync<ArgumentException>(() => store.StoreAsync("r", name, new byte[1], Token));
        Assert.Null(await store.FetchAsync("r", name, Token));
    }

    [Fact]
    public async Task ListAsync_FileOfAVersionWithoutHashes_IsListedWithoutOne()
    {
        await using var server = await CacheServer.StartAsync(CacheServer.Embedded, Token);
        await using var raw = await ConnectionMultiplexer.ConnectAsync(server.ConnectionString);
        await raw.GetDatabase().HashSetAsync("run:r:artifacts", "a", "10 1");
        Assert.Equal([new("a", 10, null)], await new RedisArtifactStore(server.Connection).ListAsync("r", Token));
    }

    [Fact]
    public async Task ConnectAsync_AddressThatCannotBeRead_TellsNothingOfIt()
    {
        var exception = await Assert.ThrowsAsync<System.ComponentModel.DataAnnotations.ValidationException>(
            () => CacheConnection.ConnectAsync("127.0.0.1:1,password=first,second=third", Token));
        Assert.Contains("host:6379,password=", exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("second", exception.ToString(), StringComparison.Ordinal);
    }

    private static RunArtifact Artifact(string name, byte[] bytes) => new(name, bytes.Length, Convert.ToHexStringLower(SHA256.HashData(bytes)));

    private static byte[] Bytes(int size, byte seed) => [.. Enumerable.Range(0, size).Select(i => (byte)(i + seed))];
}
