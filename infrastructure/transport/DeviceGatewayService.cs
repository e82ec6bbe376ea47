using Microsoft.Extensions.Hosting;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.Devices;

namespace SplitFrozen.Transport;

/// <summary>Runs the gateway of enrolled devices for as long as its process runs.</summary>
internal sealed class DeviceGatewayService(DeviceGateway gateway, IControlPlane control) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await using var _ = gateway.ConfigureAwait(false);
        try
        {
            await gateway.RunAsync(control, stoppingToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Another coordinator goes on with what is left.
        }
    }
}
