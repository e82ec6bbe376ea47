using System.Reflection;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Logs;
using OpenTelemetry.Resources;
using SplitFrozen.Contracts.Telemetry;

namespace SplitFrozen.ServiceDefaults;

/// <summary>What of a process' telemetry goes to an OTLP endpoint. Protocol, headers, sampling and intervals are the SDK's to read from OTEL_* variables.</summary>
internal static class TelemetryExport
{
    private const string BusLibrary = "MassTransit";
    private const string AnySignal = "OTEL_EXPORTER_OTLP_ENDPOINT";

    // Any of these alone asks for an export too; the signals without one go to the address that OpenTelemetry gives as the default.
    private static readonly string[] Endpoints =
        [AnySignal, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"];

    private static readonly string Instance = Guid.NewGuid().ToString();

    /// <summary>Whether the settings name an endpoint and do not switch telemetry off.</summary>
    public static bool IsWanted(Func<string, string?> setting) =>
        Array.Exists(Endpoints, name => !string.IsNullOrEmpty(setting(name)))
        && !string.Equals(setting("OTEL_SDK_DISABLED"), "true", StringComparison.OrdinalIgnoreCase);

    /// <summary>Traces, metrics and logs of this process.</summary>
    /// <param name="telemetry">Takes them.</param>
    /// <param name="serviceName">The service's name.</param>
    /// <param name="controlSpans">Whether the control plane's messages have spans too, where they are sent and where they are handled.</param>
    public static void Add(IOpenTelemetryBuilder telemetry, string serviceName, bool controlSpans) => telemetry
        .ConfigureResource(resource => Describe(resource, serviceName))

        // Not RabbitMQ.Client.*: its spans would stand beside those of the data plane, and its consumer's begin traces of their own.
        .WithTracing(tracing => tracing.AddSource(controlSpans ? [TelemetryNames.All, BusLibrary] : [TelemetryNames.All]))
        .WithMetrics(metrics => metrics.AddMeter(
            TelemetryNames.All, BusLibrary, "System.Runtime", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel"))
        .WithLogging(configureBuilder: null, Configure)
        .UseOtlpExporter();

    /// <summary>Logs alone, for what logs before the host is built.</summary>
    public static void AddLogs(ILoggingBuilder logging, IConfiguration settings, string serviceName)
    {
        logging.Services.AddSingleton(settings);
        logging.AddOpenTelemetry(logs =>
        {
            Configure(logs);
            logs.SetResourceBuilder(Describe(ResourceBuilder.CreateDefault(), serviceName)).AddOtlpExporter();
        });
    }

    private static void Configure(OpenTelemetryLoggerOptions logs)
    {
        logs.IncludeFormattedMessage = true;
        logs.IncludeScopes = true;
    }

    private static ResourceBuilder Describe(ResourceBuilder resource, string serviceName) => resource
        .AddService(serviceName, serviceNamespace: "splitfrozen", serviceVersion: Version(), serviceInstanceId: Instance)
        .AddAttributes(
        [
            new("host.name", Environment.MachineName),
            new("process.pid", (long)Environment.ProcessId),
            new("process.runtime.name", ".NET"),
            new("process.runtime.version", Environment.Version.ToString()),
        ])
        .AddEnvironmentVariableDetector();

    private static string? Version() =>
        Assembly.GetEntryAssembly()?.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
}
