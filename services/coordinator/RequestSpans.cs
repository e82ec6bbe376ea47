using OpenTelemetry.Trace;

namespace SplitFrozen.Coordinator;

/// <summary>
/// The requests of the HTTP interface as spans. Of an address they have the path alone: what stands behind a question mark is left out, and headers and
/// bodies are in none.
/// </summary>
internal static class RequestSpans
{
    private const string Query = "url.query";

    /// <summary>Adds them to the process' traces, where there are any. Health checks and the dashboard's own files are not among them.</summary>
    public static void AddRequestSpans(this IServiceCollection services) => services.ConfigureOpenTelemetryTracerProvider(tracing => tracing.AddAspNetCoreInstrumentation(requests =>
    {
        requests.Filter = context => context.Request.Path.StartsWithSegments("/api", StringComparison.Ordinal);
        requests.EnrichWithHttpResponse = (span, _) => span.SetTag(Query, null);
    }));
}
