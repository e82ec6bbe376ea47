using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using OpenTelemetry;
using OpenTelemetry.Resources;
using SplitFrozen.Contracts.Telemetry;

namespace SplitFrozen.ServiceDefaults;

/// <summary>What every service gets, whatever it does.</summary>
public static class HostExtensions
{
    private const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    /// <summary>
    /// A service's arguments, with one more that leaves its settings as they are at the start. No service looks at them again, and the watcher
    /// that a host puts on them watches everything below the working folder: where a cache writes its file there, it wakes for every write.
    /// </summary>
    public static string[] WithFixedSettings(string[] arguments) => [.. arguments, "--hostBuilder:reloadConfigOnChange=false"];

    /// <summary>
    /// Registers the clock and, where <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set, traces, metrics and logs over OTLP. Without
    /// an endpoint nothing is collected, and spans cost nothing.
    /// </summary>
    /// <param name="builder">The host of the service.</param>
    /// <param name="serviceName">Its <c>service.name</c>, for example <c>splitfrozen-trainer</c>; <c>OTEL_SERVICE_NAME</c> goes before it.</param>
    public static IHostApplicationBuilder AddServiceDefaults(this IHostApplicationBuilder builder, string serviceName)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrEmpty(serviceName);
        builder.Services.TryAddSingleton(TimeProvider.System);
        if (string.IsNullOrEmpty(builder.Configuration[EndpointVariable]))
        {
            return builder;
        }

        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource
                .AddService(serviceName, serviceNamespace: "splitfrozen", serviceVersion: Version())
                .AddEnvironmentVariableDetector())
            .WithTracing(tracing => tracing.AddSource(TelemetryNames.All, "RabbitMQ.Client.*", "MassTransit"))
            .WithMetrics(metrics => metrics.AddMeter(TelemetryNames.All, "MassTransit", "System.Runtime"))
            .WithLogging(configureBuilder: null, logs =>
            {
                logs.IncludeFormattedMessage = true;
                logs.IncludeScopes = true;
            })
            .UseOtlpExporter();
        return builder;
    }

    private static string? Version() =>
        Assembly.GetEntryAssembly()?.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
}
