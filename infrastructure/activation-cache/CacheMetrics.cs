using System.Diagnostics.Metrics;
using SplitFrozen.Contracts.Telemetry;

namespace SplitFrozen.ActivationCache;

/// <summary>Metrics of the cache as this process uses it.</summary>
internal static class CacheMetrics
{
    private static readonly Meter Meter = new(TelemetryNames.ActivationCache);
    private static readonly Counter<long> Hits = Meter.CreateCounter<long>(MetricNames.CacheHits, "{entry}", "Entries that were there when they were looked for.");
    private static readonly Counter<long> Misses = Meter.CreateCounter<long>(MetricNames.CacheMisses, "{entry}", "Entries that were not there when they were looked for.");
    private static readonly Counter<long> StoredBytes = Meter.CreateCounter<long>(MetricNames.CacheStored, "By", "Bytes of entries written.");

    /// <summary>Entries were looked for.</summary>
    /// <param name="operation"><c>check</c> or <c>fetch</c>.</param>
    /// <param name="hits">How many were there.</param>
    /// <param name="all">How many were looked for.</param>
    public static void Looked(string operation, int hits, int all)
    {
        var tag = new KeyValuePair<string, object?>(TelemetryNames.CacheOperation, operation);
        Hits.Add(hits, tag);
        Misses.Add(all - hits, tag);
    }

    /// <summary>Entries were written.</summary>
    public static void Stored(long bytes) => StoredBytes.Add(bytes);
}
