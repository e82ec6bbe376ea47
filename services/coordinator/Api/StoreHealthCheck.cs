using Microsoft.Extensions.Diagnostics.HealthChecks;
using SplitFrozen.ActivationCache;

namespace SplitFrozen.Coordinator.Api;

/// <summary>Ready means that the store of runs answers; a standby is ready too, as it serves the interface.</summary>
internal sealed class StoreHealthCheck(RedisRunStore store) : IHealthCheck
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(2);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            await store.CountEventsAsync("health", cancellationToken).WaitAsync(s_limit, cancellationToken).ConfigureAwait(false);
            return HealthCheckResult.Healthy();
        }
#pragma warning disable CA1031 // Whatever it is, the store does not answer.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            return HealthCheckResult.Unhealthy("The store of runs does not answer.", exception);
        }
    }
}
