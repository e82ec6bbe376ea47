using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>Starts a cluster for a benchmark.</summary>
internal static class BenchCluster
{
    /// <summary>Starts servers and services, with quiet logs; null, with the reason printed, where there are none to start.</summary>
    public static async Task<Cluster?> StartAsync(Report report, string benchmark, ClusterOptions options, CancellationToken cancellationToken)
    {
        var cluster = await Cluster.StartAsync(options with { LogLevel = "Warning" }, cancellationToken).ConfigureAwait(false);
        if (cluster.SkipReason is not { } reason)
        {
            return cluster;
        }

        await report.Output.WriteLineAsync($"{benchmark}: {reason}").ConfigureAwait(false);
        await cluster.DisposeAsync().ConfigureAwait(false);
        return null;
    }
}
