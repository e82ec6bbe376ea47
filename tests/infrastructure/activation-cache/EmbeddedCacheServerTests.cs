using System.Diagnostics;
using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.ActivationCache.Tests;

public sealed class EmbeddedCacheServerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task StartAsync_AfterDispose_HasEverythingBack()
    {
        const int Count = 2000;
        using var folder = new TemporaryFolder();
        string[] keys = [.. Enumerable.Range(0, Count).Select(i => $"act:{i}")];
        var bytes = 0L;
        await using (var server = await StartAsync(folder))
        {
            await using var connection = await CacheConnection.ConnectAsync(server.ConnectionString, Token);
            using var cache = new RedisActivationCache(connection, 1 << 30);
            foreach (var chunk in Enumerable.Range(0, Count).Chunk(50))
            {
                await Task.WhenAll(chunk.Select(i => cache.StoreAsync(keys[i], Entry(i), Token)));
            }

            bytes = await cache.BytesAsync(Token);
            var ledger = new RedisRunLedger(connection);
            await ledger.RecordIngestedAsync("r", [.. Enumerable.Range(0, Count).Select(i => (long)i)], Token);
            await ledger.RecordStepAsync("r", 0, [42], Token);
        }

        // Larger than the memory given, so most of it is read from the folder.
        Assert.InRange(bytes, 200 << 20, 250 << 20);
        await using (var server = await StartAsync(folder))
        {
            await using var connection = await CacheConnection.ConnectAsync(server.ConnectionString, Token);
            using var cache = new RedisActivationCache(connection, 1 << 30);
            Assert.All(await cache.ContainsAsync(keys, Token), Assert.True);
            foreach (var chunk in Enumerable.Range(0, Count).Chunk(100))
            {
                var entries = await cache.FetchAsync([.. chunk.Select(i => keys[i])], Token);
                Assert.All(chunk, (i, position) => Assert.True(Entry(i).AsSpan().SequenceEqual(entries[position])));
            }

            Assert.Equal(bytes, await cache.BytesAsync(Token));
            var ledger = new RedisRunLedger(connection);
            Assert.Equal(Count, (await ledger.IngestedAsync("r", Token)).Count);
            Assert.Equal([42], Assert.Single(await ledger.StepsFromAsync("r", 0, Token)));
        }
    }

    /// <summary>Entries that have left memory for the disk are found again when stored twice, and counted when evicted.</summary>
    [Fact]
    public async Task StoreAsync_EntriesOnDisk_AreCountedOnceAndEvictedLikeTheOthers()
    {
        const int Bound = 96 << 20;
        using var folder = new TemporaryFolder();
        await using var server = await StartAsync(folder, memoryBytes: 32 << 20);
        await using var connection = await CacheConnection.ConnectAsync(server.ConnectionString, Token);
        using var cache = new RedisActivationCache(connection, Bound);
        await StoreAsync(0, 800);
        var bytes = await cache.BytesAsync(Token);

        await StoreAsync(0, 200);
        Assert.Equal(bytes, await cache.BytesAsync(Token));

        await StoreAsync(800, 700);
        var entries = await cache.FetchAsync([.. Enumerable.Range(0, 1500).Select(i => $"act:{i}")], Token);
        Assert.InRange(entries.Sum(entry => (long)(entry?.Length ?? 0)), Bound * 9L / 10, Bound);
        Assert.All(Enumerable.Range(0, 1500), i => Assert.True(entries[i] is null || entries[i]!.AsSpan().SequenceEqual(Entry(i))));

        async Task StoreAsync(int first, int count)
        {
            foreach (var chunk in Enumerable.Range(first, count).Chunk(20))
            {
                await Task.WhenAll(chunk.Select(i => cache.StoreAsync($"act:{i}", Entry(i), Token)));
            }
        }
    }

    [Fact]
    public async Task SaveAsync_WhileStoring_HoldsWhatWasStoredBefore()
    {
        using var folder = new TemporaryFolder();
        using var copy = new TemporaryFolder();
        await using (var server = await StartAsync(folder))
        {
            await using var connection = await CacheConnection.ConnectAsync(server.ConnectionString, Token);
            using var cache = new RedisActivationCache(connection, 1 << 30);
            await Task.WhenAll(Enumerable.Range(0, 200).Select(i => cache.StoreAsync($"act:{i}", Entry(i), Token)));
            await Task.WhenAll(server.SaveAsync(Token), server.SaveAsync(Token), server.SaveAsync(Token));
            await Task.WhenAll(Enumerable.Range(200, 200).Select(i => cache.StoreAsync($"act:{i}", Entry(i), Token)));

            // The files as a killed process would leave them.
            CopyFolder(folder.Path, copy.Path);
        }

        await using var second = await StartAsync(copy);
        await using var reopened = await CacheConnection.ConnectAsync(second.ConnectionString, Token);
        using var recovered = new RedisActivationCache(reopened, 1 << 30);
        var entries = await recovered.FetchAsync([.. Enumerable.Range(0, 400).Select(i => $"act:{i}")], Token);
        Assert.All(Enumerable.Range(0, 200), i => Assert.True(Entry(i).AsSpan().SequenceEqual(entries[i])));
        Assert.All(Enumerable.Range(200, 200), i => Assert.True(entries[i] is null || entries[i]!.AsSpan().SequenceEqual(Entry(i))));
    }

    [Fact]
    public async Task StartAsync_FolderInUse_IsRefusedAndFreeAfterwards()
    {
        using var folder = new TemporaryFolder();
        await using (await StartAsync(folder))
        {
            var exception = await Assert.ThrowsAsync<CacheException>(() => StartAsync(folder));
            Assert.Contains("in use by another process", exception.Message, StringComparison.Ordinal);
            Assert.Contains(folder.Path, exception.Message, StringComparison.Ordinal);
        }

        await using var again = await StartAsync(folder);
    }

    [Fact]
    public async Task StartAsync_FolderLockedByAnotherProcess_IsRefused()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "lock");
        File.WriteAllBytes(path, []);
        if (!File.Exists("/usr/bin/flock"))
        {
            Assert.Skip("The flock command is not installed; another test holds the lock within this process.");
        }

        using var holder = Process.Start(new ProcessStartInfo("/usr/bin/flock", [path, "sh", "-c", "echo held; read _"]) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true })!;
        Assert.Equal("held", await holder.StandardOutput.ReadLineAsync(Token));

        await Assert.ThrowsAsync<CacheException>(() => StartAsync(folder));

        holder.StandardInput.Close();
        await holder.WaitForExitAsync(Token);
        await using var free = await StartAsync(folder);
    }

    [Theory]
    [InlineData("cpr-checkpoints")]
    [InlineData("Store")]
    public async Task StartAsync_DamagedFolder_SaysToDeleteIt(string damaged)
    {
        using var folder = new TemporaryFolder();
        await StoreOneAsync(folder);
        Damage(folder, damaged);

        var exception = await Assert.ThrowsAsync<CacheException>(() => StartAsync(folder));
        Assert.Contains("delete the folder", exception.Message, StringComparison.Ordinal);
        Assert.Contains(folder.Path, exception.Message, StringComparison.Ordinal);
    }

    /// <summary>The index can be made anew from the log, so damage to it costs time and no entry.</summary>
    [Theory]
    [InlineData("index-checkpoints")]
    [InlineData("ht.dat")]
    public async Task StartAsync_DamagedIndex_HasTheEntriesOrSaysToDeleteThem(string damaged)
    {
        using var folder = new TemporaryFolder();
        await StoreOneAsync(folder);
        Damage(folder, damaged);

        try
        {
            await using var server = await StartAsync(folder);
            await using var connection = await CacheConnection.ConnectAsync(server.ConnectionString, Token);
            using var cache = new RedisActivationCache(connection, 1 << 30);
            Assert.Equal(Entry(3), Assert.Single(await cache.FetchAsync(["act:a"], Token)));
        }
        catch (CacheException exception)
        {
            Assert.Contains("delete the folder", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task StartAsync_PathThatIsAFile_SaysSo()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "file");
        File.WriteAllText(path, "");

        var exception = await Assert.ThrowsAsync<CacheException>(
            () => EmbeddedCacheServer.StartAsync(new EmbeddedCacheOptions { Directory = path }, Token));
        Assert.Contains(path, exception.Message, StringComparison.Ordinal);
    }

    private static async Task StoreOneAsync(TemporaryFolder folder)
    {
        await using var server = await StartAsync(folder);
        await using var connection = await CacheConnection.ConnectAsync(server.ConnectionString, Token);
        using var cache = new RedisActivationCache(connection, 1 << 30);
        await cache.StoreAsync("act:a", Entry(3), Token);
    }

    private static void Damage(TemporaryFolder folder, string part)
    {
        var files = new DirectoryInfo(folder.Path).EnumerateFiles("*", SearchOption.AllDirectories).Where(file => file.FullName.Contains(part, StringComparison.Ordinal)).ToArray();
        Assert.NotEmpty(files);
        foreach (var file in files)
        {
            File.WriteAllBytes(file.FullName, [.. Enumerable.Repeat((byte)0xA5, (int)Math.Min(file.Length, 100))]);
        }
    }

    private static byte[] Entry(int i) => RedisActivationCacheTests.Entry(i, 20_000 + new SeededRandom((ulong)i).NextInt32(180_000));

    private static Task<EmbeddedCacheServer> StartAsync(TemporaryFolder folder, long memoryBytes = 64 << 20) =>
        EmbeddedCacheServer.StartAsync(new EmbeddedCacheOptions { Directory = folder.Path, MaximumBytes = 1 << 30, MemoryBytes = memoryBytes }, Token);

    private static void CopyFolder(string from, string to)
    {
        foreach (var file in new DirectoryInfo(from).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file.FullName));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            if (file.Name == "lock")
            {
                continue;
            }

            using var source = new FileStream(file.FullName, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var destination = File.Create(target);
            source.CopyTo(destination);
        }
    }
}
