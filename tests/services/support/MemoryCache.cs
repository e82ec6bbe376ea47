using System.Collections.Concurrent;
using SplitFrozen.ActivationCache;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A cache in memory that can lose entries, by order or by a bound in entries (oldest first).</summary>
internal sealed class MemoryCache(int maximumEntries = int.MaxValue) : IActivationCache
{
    private readonly ConcurrentDictionary<string, byte[]> _entries = new();
    private readonly ConcurrentQueue<string> _order = new();

    public long MaximumBytes => long.MaxValue;

    public int Count => _entries.Count;

    public int Stored { get; private set; }

    public IReadOnlyDictionary<string, byte[]> Entries => _entries;

    public void Evict(string key) => _entries.TryRemove(key, out _);

    public void Clear() => _entries.Clear();

    /// <summary>Damages every third entry in another way.</summary>
    public void Damage()
    {
        foreach (var (key, entry) in _entries.Where((_, i) => i % 3 == 0))
        {
            _entries[key] = key[^1] % 2 == 0 ? entry[..^3] : [.. entry[..^1], (byte)(entry[^1] ^ 0x55)];
        }
    }

    public Task StoreAsync(IReadOnlyList<CacheEntry> entries, CancellationToken cancellationToken)
    {
        lock (_order)
        {
            foreach (var (key, bytes) in entries)
            {
                Stored++;
                if (!_entries.ContainsKey(key))
                {
                    _order.Enqueue(key);
                }

                _entries[key] = bytes.ToArray();
            }

            while (_entries.Count > maximumEntries && _order.TryDequeue(out var oldest))
            {
                _entries.TryRemove(oldest, out _);
            }
        }

        return Task.CompletedTask;
    }

    public Task<byte[]?[]> FetchAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken) =>
        Task.FromResult(keys.Select(key => _entries.GetValueOrDefault(key)).ToArray());

    public Task<bool[]> ContainsAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken) =>
        Task.FromResult(keys.Select(_entries.ContainsKey).ToArray());
}
