using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace SplitFrozen.ServiceDefaults;

/// <summary>What every service gets, whatever it does.</summary>
public static class HostExtensions
{
    private const string ServiceName = "splitfrozen.service.name";

    /// <summary>
    /// A service's arguments, with one more that leaves its settings as they are at the start. No service looks at them again, and the watcher
    /// that a host puts on them watches everything below the working folder: where a cache writes its file there, it wakes for every write.
    /// </summary>
    public static string[] WithFixedSettings(string[] arguments) => [.. arguments, "--hostBuilder:reloadConfigOnChange=false"];

    /// <summary>
    /// Registers the clock and, where <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set, or the same for one signal, traces, metrics and logs over
    /// OTLP. Without an endpoint nothing is collected, and spans cost nothing.
    /// </summary>
    /// <param name="builder">The host of the service.</param>
    /// <param name="serviceName">Its <c>service.name</c>, for example <c>splitfrozen-trainer</c>; <c>OTEL_SERVICE_NAME</c> goes before it.</param>
    public static IHostApplicationBuilder AddServiceDefaults(this IHostApplicationBuilder builder, string serviceName)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrEmpty(serviceName);
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Properties[ServiceName] = serviceName;
        if (TelemetryExport.IsWanted(name => builder.Configuration[name]))
        {
            TelemetryExport.Add(builder.Services.AddOpenTelemetry(), serviceName, bool.TryParse(builder.Configuration["Telemetry:ControlSpans"], out var spans) && spans);
        }

        return builder;
    }

    /// <summary>Loggers for what is opened before the host is built: to the console and, as the host's own will be, over OTLP.</summary>
    /// <param name="builder">The host of the service, after <see cref="AddServiceDefaults"/>.</param>
    public static ILoggerFactory CreateEarlyLoggers(this IHostApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return LoggerFactory.Create(logging =>
        {
            logging.AddConfiguration(builder.Configuration.GetSection("Logging")).AddSimpleConsole();
            if (builder.Properties.TryGetValue(ServiceName, out var name) && TelemetryExport.IsWanted(variable => builder.Configuration[variable]))
            {
                TelemetryExport.AddLogs(logging, builder.Configuration, (string)name);
            }
        });
    }
}
