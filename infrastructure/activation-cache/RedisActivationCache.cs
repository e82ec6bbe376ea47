using System.Globalization;
using StackExchange.Redis;

namespace SplitFrozen.ActivationCache;

/// <summary>
/// Activations in a Redis-protocol server (Redis 7 or Garnet; only commands that both have). Bounded in bytes: every entry
/// gets a number when it is stored, and the entries with the lowest numbers leave first. Thread-safe; several processes may
/// share a server, each with the same bound.
/// </summary>
public sealed class RedisActivationCache : IActivationCache, IDisposable
{
    /// <summary>What an entry takes besides its bytes: its key, its number's record, and the server's own.</summary>
    private const int OverheadBytes = 256;

    private const int KeysPerFetch = 16;
    private const int KeysPerCheck = 1024;
    private const int EntriesPerEviction = 64;
    private static readonly RedisKey Written = "activations:written";
    private static readonly RedisKey Evicted = "activations:evicted";
    private static readonly RedisKey Bytes = "activations:bytes";
    private static readonly RedisKey EvictionLock = "activations:evicting";
    private static readonly TimeSpan EvictionLockTime = TimeSpan.FromMinutes(1);

    private readonly IDatabase _blobs;
    private readonly IDatabase _state;
    private readonly SemaphoreSlim _evicting = new(1, 1);

    /// <summary>The cache on a server.</summary>
    /// <param name="connection">Connections to the server; not owned.</param>
    /// <param name="maximumBytes">Most bytes of all entries, at least 1 MiB.</param>
    public RedisActivationCache(CacheConnection connection, long maximumBytes)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentOutOfRangeException.ThrowIfLessThan(maximumBytes, 1L << 20);
        _blobs = connection.Blobs.GetDatabase();
        _state = connection.State.GetDatabase();
        MaximumBytes = maximumBytes;
    }

    /// <inheritdoc/>
    public long MaximumBytes { get; }

    /// <summary>Bytes of all entries now, overhead included.</summary>
    public async Task<long> BytesAsync(CancellationToken cancellationToken) =>
        (long)await _state.StringGetAsync(Bytes).WaitAsync(cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    /// <remarks>Four round trips to the server, whatever the number of entries.</remarks>
    public async Task StoreAsync(IReadOnlyList<CacheEntry> entries, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entries);
        if (entries.Count == 0)
        {
            return;
        }

        var last = await _state.StringIncrementAsync(Written, entries.Count).WaitAsync(cancellationToken).ConfigureAwait(false);
        RedisKey[] records = [.. Enumerable.Range(0, entries.Count).Select(i => Record(last - entries.Count + 1 + i))];

        // Records and count come before the entries: were it the other way round, a crash between them would leave entries that nothing ever evicts.
        var recorded = _state.StringSetAsync([.. entries.Select((entry, i) => KeyValuePair.Create(records[i], (RedisValue)$"{Size(entry)} {entry.Key}"))]);
        var bytes = await _state.StringIncrementAsync(Bytes, entries.Sum(Size)).WaitAsync(cancellationToken).ConfigureAwait(false);
        await recorded.WaitAsync(cancellationToken).ConfigureAwait(false);
        var isNew = await Task.WhenAll(entries.Select(entry => _blobs.StringSetAsync(entry.Key, entry.Bytes, when: When.NotExists)))
            .WaitAsync(cancellationToken).ConfigureAwait(false);
        var created = Enumerable.Range(0, entries.Count).Where(i => isNew[i]).ToArray();
        if (created.Length < entries.Count)
        {
            int[] known = [.. Enumerable.Range(0, entries.Count).Where(i => !isNew[i])];
            await RepairAsync([.. known.Select(i => entries[i])], [.. known.Select(i => records[i])]).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        if (created.Length > 0 && await _state.KeyExistsAsync([.. created.Select(i => records[i])]).WaitAsync(cancellationToken).ConfigureAwait(false) < created.Length)
        {
            await RemoveEvictedAsync([.. created.Select(i => (records[i], (RedisKey)entries[i].Key))]).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        CacheMetrics.Stored(entries.Sum(entry => (long)entry.Bytes.Length));
        if (created.Length > 0 && bytes > MaximumBytes)
        {
            await EvictAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async Task<byte[]?[]> FetchAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(keys);
        var chunks = keys.Chunk(KeysPerFetch).Select(chunk => _blobs.StringGetAsync([.. chunk.Select(key => (RedisKey)key)])).ToArray();
        var values = await Task.WhenAll(chunks).WaitAsync(cancellationToken).ConfigureAwait(false);
        byte[]?[] found = [.. values.SelectMany(chunk => chunk).Select(value => (byte[]?)value)];
        CacheMetrics.Looked("fetch", found.Count(entry => entry is not null), found.Length);
        return found;
    }

    /// <inheritdoc/>
    public async Task<bool[]> ContainsAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(keys);
        var present = new List<bool>(keys.Count);
        foreach (var chunk in keys.Chunk(KeysPerCheck))
        {
            present.AddRange(await Task.WhenAll(chunk.Select(key => _blobs.KeyExistsAsync(key))).WaitAsync(cancellationToken).ConfigureAwait(false));
        }

        CacheMetrics.Looked("check", present.Count(there => there), present.Count);
        return [.. present];
    }

    /// <inheritdoc/>
    public void Dispose() => _evicting.Dispose();

    private static long Size(CacheEntry entry) => entry.Bytes.Length + OverheadBytes;

    /// <summary>Writes again what was there: an entry that was damaged is asked for anew, and this is what repairs it. It keeps its first record.</summary>
    private Task RepairAsync(CacheEntry[] entries, RedisKey[] records) => Task.WhenAll(
        [
            _state.KeyDeleteAsync(records),
            _state.StringDecrementAsync(Bytes, entries.Sum(Size)),
            .. entries.Select(entry => _blobs.StringSetAsync(entry.Key, entry.Bytes)),
        ]);

    /// <summary>Removes what was evicted between its record and itself: its bytes are no longer counted, so it must not stay.</summary>
    private async Task RemoveEvictedAsync((RedisKey Record, RedisKey Key)[] created)
    {
        var there = await Task.WhenAll(created.Select(entry => _state.KeyExistsAsync(entry.Record))).ConfigureAwait(false);
        await _blobs.KeyDeleteAsync([.. created.Where((_, i) => !there[i]).Select(entry => entry.Key)]).ConfigureAwait(false);
    }

    private static RedisKey Record(long number) => $"activations:record:{number.ToString(CultureInfo.InvariantCulture)}";

    private async Task EvictAsync(CancellationToken cancellationToken)
    {
        // Whoever comes while somebody evicts need not wait: it is being seen to.
        if (!await _evicting.WaitAsync(TimeSpan.Zero, cancellationToken).ConfigureAwait(false))
        {
            return;
        }

        try
        {
            var token = Guid.NewGuid().ToString("N");
            if (await _state.LockTakeAsync(EvictionLock, token, EvictionLockTime).WaitAsync(cancellationToken).ConfigureAwait(false))
            {
                await EvictOldestAsync(cancellationToken).ConfigureAwait(false);
                await _state.LockReleaseAsync(EvictionLock, token).WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            _evicting.Release();
        }
    }

    private async Task EvictOldestAsync(CancellationToken cancellationToken)
    {
        // A little more than needed, so that not every store has to evict.
        var target = MaximumBytes - (MaximumBytes / 32);
        while (await BytesAsync(cancellationToken).ConfigureAwait(false) > target)
        {
            var counters = await _state.StringGetAsync([Evicted, Written]).WaitAsync(cancellationToken).ConfigureAwait(false);
            var (first, last) = ((long)counters[0] + 1, (long)counters[1]);
            if (first > last)
            {
                return;
            }

            last = Math.Min(last, first + EntriesPerEviction - 1);
            RedisKey[] records = [.. Enumerable.Range(0, (int)(last - first + 1)).Select(i => Record(first + i))];
            var values = await _state.StringGetAsync(records).WaitAsync(cancellationToken).ConfigureAwait(false);
            var entries = values.Where(value => !value.IsNull).Select(value => Parse(value!)).ToArray();

            // Records first: a store that is under way then sees that its record is gone.
            await Task.WhenAll(
                _state.KeyDeleteAsync([.. records, .. entries.Select(entry => (RedisKey)entry.Key)]),
                _state.StringDecrementAsync(Bytes, entries.Sum(entry => entry.Size)),
                _state.StringSetAsync(Evicted, last)).WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static (long Size, string Key) Parse(string record)
    {
        // The size comes from the record and not from whether a delete found its key: Garnet deletes what lies on disk without looking.
        var space = record.IndexOf(' ', StringComparison.Ordinal);
        return (long.Parse(record.AsSpan(0, space), CultureInfo.InvariantCulture), record[(space + 1)..]);
    }
}
