using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace SplitFrozen.ServiceDefaults;

/// <summary>Telemetry and loggers of a program without a host, from its start to its end.</summary>
public sealed class TelemetrySession : IDisposable
{
    private readonly ServiceProvider _services;

    private TelemetrySession(ServiceProvider services) => _services = services;

    /// <summary>Makes the program's loggers.</summary>
    public ILoggerFactory Loggers => _services.GetRequiredService<ILoggerFactory>();

    /// <summary>
    /// Starts it. Where an OTLP endpoint is set (see <see cref="HostExtensions.AddServiceDefaults"/>), traces, metrics and logs go there;
    /// what is on its way is sent when the session is disposed.
    /// </summary>
    /// <param name="serviceName">The program's <c>service.name</c>; <c>OTEL_SERVICE_NAME</c> goes before it.</param>
    /// <param name="logging">Adds its other loggers.</param>
    /// <param name="environment">Reads an environment variable, to find out whether telemetry is wanted.</param>
    public static TelemetrySession Start(string serviceName, Action<ILoggingBuilder> logging, Func<string, string?> environment)
    {
        ArgumentException.ThrowIfNullOrEmpty(serviceName);
        var services = new ServiceCollection();
        services.AddLogging(logging);
        var isWanted = TelemetryExport.IsWanted(environment);
        if (isWanted)
        {
            TelemetryExport.Add(services.AddOpenTelemetry(), serviceName, controlSpans: false);
        }

        var provider = services.BuildServiceProvider();
        if (isWanted)
        {
            // A host would do this: they listen from their making on.
            provider.GetRequiredService<TracerProvider>();
            provider.GetRequiredService<MeterProvider>();
        }

        return new TelemetrySession(provider);
    }

    /// <inheritdoc/>
    public void Dispose() => _services.Dispose();
}
