using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace SplitFrozen.DeviceWorker.Hosting;

/// <summary>What a device worker process is made of, besides transport and defaults.</summary>
public static class DeviceWorkerRegistration
{
    /// <summary>Adds the device worker; its settings come from the section <c>Device</c> and are checked at the start.</summary>
    public static IHostApplicationBuilder AddDeviceWorker(this IHostApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        builder.Services.AddOptions<DeviceHostOptions>().BindConfiguration(DeviceHostOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        builder.Services.AddHostedService<DeviceHost>();
        return builder;
    }
}
