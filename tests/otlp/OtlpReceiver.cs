using System.Collections.Concurrent;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Opentelemetry.Proto.Collector.Logs.V1;
using Opentelemetry.Proto.Collector.Metrics.V1;
using Opentelemetry.Proto.Collector.Trace.V1;

namespace SplitFrozen.TestOtlp;

/// <summary>
/// A collector for tests: takes OTLP as gRPC (HTTP/2 without TLS) and as http/protobuf, each on a free port of loopback, and keeps what came. Thread-safe.
/// </summary>
public sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly ConcurrentQueue<ExportTraceServiceRequest> _traces = [];
    private readonly ConcurrentQueue<ExportMetricsServiceRequest> _metrics = [];
    private readonly ConcurrentQueue<ExportLogsServiceRequest> _logs = [];
    private readonly bool _keeps;
    private readonly WebApplication _app;
    private long _requests;

    private OtlpReceiver(bool keeps)
    {
        _keeps = keeps;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(this);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.ListenLocalhostFree(HttpProtocols.Http2);
            kestrel.ListenLocalhostFree(HttpProtocols.Http1);
        });
        _app = builder.Build();
        _app.MapGrpcService<Traces>();
        _app.MapGrpcService<Metrics>();
        _app.MapGrpcService<Logs>();
        Map("/v1/traces", ExportTraceServiceRequest.Parser, Take);
        Map("/v1/metrics", ExportMetricsServiceRequest.Parser, Take);
        Map("/v1/logs", ExportLogsServiceRequest.Parser, Take);
    }

    /// <summary>Number of requests that came.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>All spans so far.</summary>
    public IReadOnlyList<ReceivedSpan> Spans => [.. _traces.SelectMany(request => request.ResourceSpans).SelectMany(ReceivedSpan.From)];

    /// <summary>All points of metrics so far, in the order in which they came.</summary>
    public IReadOnlyList<ReceivedPoint> Points => [.. _metrics.SelectMany(request => request.ResourceMetrics).SelectMany(ReceivedPoint.From)];

    /// <summary>All log records so far.</summary>
    public IReadOnlyList<ReceivedLog> LogRecords => [.. _logs.SelectMany(request => request.ResourceLogs).SelectMany(ReceivedLog.From)];

    /// <summary>Everything that came, as JSON: to look for what must not be there.</summary>
    public string Everything => string.Join('\n', _traces.Cast<object>().Concat(_metrics).Concat(_logs));

    /// <summary>Starts it.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="keeps">False where nothing is kept and parsed, only counted.</param>
    public static async Task<OtlpReceiver> StartAsync(CancellationToken cancellationToken, bool keeps = true)
    {
        var receiver = new OtlpReceiver(keeps);
        await receiver._app.StartAsync(cancellationToken).ConfigureAwait(false);
        return receiver;
    }

    /// <summary>The variables that make a process send here.</summary>
    /// <param name="protocol"><c>grpc</c> or <c>http/protobuf</c>.</param>
    public IReadOnlyDictionary<string, string> Endpoint(string protocol) => new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["OTEL_EXPORTER_OTLP_ENDPOINT"] = Address(protocol),
        ["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol,
    };

    /// <summary>The variables that make a process send here, and often.</summary>
    /// <param name="protocol"><c>grpc</c> or <c>http/protobuf</c>.</param>
    public IReadOnlyDictionary<string, string> Settings(string protocol) => new Dictionary<string, string>(Endpoint(protocol), StringComparer.Ordinal)
    {
        ["OTEL_BSP_SCHEDULE_DELAY"] = "200",
        ["OTEL_BLRP_SCHEDULE_DELAY"] = "200",
        ["OTEL_METRIC_EXPORT_INTERVAL"] = "500",
    };

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private string Address(string protocol) => protocol switch
    {
        "grpc" => Addresses.First(),
        "http/protobuf" => Addresses.Last(),
        _ => throw new ArgumentException($"There is no protocol '{protocol}'.", nameof(protocol)),
    };

    private ICollection<string> Addresses => _app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses;

    private void Map<TRequest>(string path, MessageParser<TRequest> parser, Action<TRequest> take)
        where TRequest : IMessage<TRequest> => _app.MapPost(path, async (HttpContext http) =>
    {
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body, http.RequestAborted).ConfigureAwait(false);
        if (_keeps)
        {
            take(parser.ParseFrom(body.ToArray()));
        }
        else
        {
            Interlocked.Increment(ref _requests);
        }

        http.Response.ContentType = "application/x-protobuf";
    });

    private void Take(ExportTraceServiceRequest request) => Take(_traces, request);

    private void Take(ExportMetricsServiceRequest request) => Take(_metrics, request);

    private void Take(ExportLogsServiceRequest request) => Take(_logs, request);

    private void Take<TRequest>(ConcurrentQueue<TRequest> kept, TRequest request)
    {
        Interlocked.Increment(ref _requests);
        if (_keeps)
        {
            kept.Enqueue(request);
        }
    }

    private sealed class Traces(OtlpReceiver receiver) : TraceService.TraceServiceBase
    {
        public override Task<ExportTraceServiceResponse> Export(ExportTraceServiceRequest request, ServerCallContext context)
        {
            receiver.Take(request);
            return Task.FromResult(new ExportTraceServiceResponse());
        }
    }

    private sealed class Metrics(OtlpReceiver receiver) : MetricsService.MetricsServiceBase
    {
        public override Task<ExportMetricsServiceResponse> Export(ExportMetricsServiceRequest request, ServerCallContext context)
        {
            receiver.Take(request);
            return Task.FromResult(new ExportMetricsServiceResponse());
        }
    }

    private sealed class Logs(OtlpReceiver receiver) : LogsService.LogsServiceBase
    {
        public override Task<ExportLogsServiceResponse> Export(ExportLogsServiceRequest request, ServerCallContext context)
        {
            receiver.Take(request);
            return Task.FromResult(new ExportLogsServiceResponse());
        }
    }
}

/// <summary>Free ports.</summary>
internal static class FreePorts
{
    public static void ListenLocalhostFree(this KestrelServerOptions kestrel, HttpProtocols protocols) =>
        kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = protocols);
}
