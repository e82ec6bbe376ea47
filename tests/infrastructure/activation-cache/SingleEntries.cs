namespace SplitFrozen.ActivationCache.Tests;

internal static class SingleEntries
{
    public static Task StoreAsync(this RedisActivationCache cache, string key, ReadOnlyMemory<byte> entry, CancellationToken cancellationToken) =>
        cache.StoreAsync([new CacheEntry(key, entry)], cancellationToken);
}
