using Microsoft.Extensions.Diagnostics.HealthChecks;
using SplitFrozen.ActivationCache;
using SplitFrozen.Messaging.ControlBus;

namespace SplitFrozen.Transport;

/// <summary>Whether the broker's connection stands and the cache answers in time.</summary>
internal sealed class TransportHealthCheck(MassTransitControlPlane control, IActivationCache cache) : IHealthCheck
{
    private static readonly string[] s_anyKey = ["health"];
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(2);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (!control.IsConnected)
        {
            return HealthCheckResult.Unhealthy("The broker does not answer.");
        }

        try
        {
            await cache.ContainsAsync(s_anyKey, cancellationToken).WaitAsync(s_limit, cancellationToken).ConfigureAwait(false);
            return HealthCheckResult.Healthy();
        }
#pragma warning disable CA1031 // Whatever it is, the cache does not answer.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            return HealthCheckResult.Unhealthy("The cache does not answer.", exception);
        }
    }
}
