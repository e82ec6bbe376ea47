using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.Collections;
using Opentelemetry.Proto.Common.V1;
using Opentelemetry.Proto.Logs.V1;
using Opentelemetry.Proto.Metrics.V1;
using Opentelemetry.Proto.Resource.V1;
using Opentelemetry.Proto.Trace.V1;

namespace SplitFrozen.TestOtlp;

/// <summary>A span as a collector sees it; ids in hexadecimal, empty for none.</summary>
/// <param name="Service">The process' <c>service.name</c>.</param>
/// <param name="Source">The activity source.</param>
/// <param name="Name">Its name.</param>
/// <param name="Kind">Its kind.</param>
/// <param name="TraceId">Its trace.</param>
/// <param name="SpanId">Its id.</param>
/// <param name="ParentId">The span above it.</param>
/// <param name="Start">Nanoseconds since 1970.</param>
/// <param name="End">Nanoseconds since 1970.</param>
/// <param name="Attributes">Attributes as text.</param>
/// <param name="Links">Linked spans.</param>
/// <param name="IsError">Whether its status is an error.</param>
public sealed record ReceivedSpan(
    string Service, string Source, string Name, string Kind, string TraceId, string SpanId, string ParentId, ulong Start, ulong End,
    IReadOnlyDictionary<string, string> Attributes, IReadOnlyList<(string TraceId, string SpanId)> Links, bool IsError)
{
    internal static IEnumerable<ReceivedSpan> From(ResourceSpans resource) => resource.ScopeSpans.SelectMany(scope => scope.Spans.Select(span => new ReceivedSpan(
        Texts.Service(resource.Resource), scope.Scope.Name, span.Name, span.Kind.ToString(), Texts.Hex(span.TraceId), Texts.Hex(span.SpanId), Texts.Hex(span.ParentSpanId),
        span.StartTimeUnixNano, span.EndTimeUnixNano, Texts.Of(span.Attributes), [.. span.Links.Select(link => (Texts.Hex(link.TraceId), Texts.Hex(link.SpanId)))],
        span.Status?.Code == Status.Types.StatusCode.Error)));
}

/// <summary>A point of a metric.</summary>
/// <param name="Service">The process' <c>service.name</c>.</param>
/// <param name="Instance">The process' <c>service.instance.id</c>.</param>
/// <param name="Name">The metric.</param>
/// <param name="Unit">Its unit.</param>
/// <param name="Attributes">Attributes as text.</param>
/// <param name="Value">Value of a sum or gauge; sum of a histogram.</param>
/// <param name="Count">Observations of a histogram.</param>
public sealed record ReceivedPoint(string Service, string Instance, string Name, string Unit, IReadOnlyDictionary<string, string> Attributes, double Value, ulong Count)
{
    internal static IEnumerable<ReceivedPoint> From(ResourceMetrics resource)
    {
        var (service, instance) = (Texts.Service(resource.Resource), Texts.Of(resource.Resource.Attributes)["service.instance.id"]);
        return resource.ScopeMetrics.SelectMany(scope => scope.Metrics).SelectMany(metric => Points(metric).Select(
            point => new ReceivedPoint(service, instance, metric.Name, metric.Unit, Texts.Of(point.Attributes), point.Value, point.Count)));
    }

    private static IEnumerable<(RepeatedField<KeyValue> Attributes, double Value, ulong Count)> Points(Metric metric) => metric.DataCase switch
    {
        Metric.DataOneofCase.Sum => metric.Sum.DataPoints.Select(point => (point.Attributes, Number(point), 0UL)),
        Metric.DataOneofCase.Gauge => metric.Gauge.DataPoints.Select(point => (point.Attributes, Number(point), 0UL)),
        Metric.DataOneofCase.Histogram => metric.Histogram.DataPoints.Select(point => (point.Attributes, point.Sum, point.Count)),
        _ => [],
    };

    private static double Number(NumberDataPoint point) => point.ValueCase == NumberDataPoint.ValueOneofCase.AsInt ? point.AsInt : point.AsDouble;
}

/// <summary>A log record.</summary>
/// <param name="Service">The process' <c>service.name</c>.</param>
/// <param name="Category">The logger.</param>
/// <param name="Body">The formatted message.</param>
/// <param name="TraceId">The trace within which it was written; empty for none.</param>
/// <param name="SpanId">The span within which it was written; empty for none.</param>
public sealed record ReceivedLog(string Service, string Category, string Body, string TraceId, string SpanId)
{
    internal static IEnumerable<ReceivedLog> From(ResourceLogs resource) => resource.ScopeLogs.SelectMany(scope => scope.LogRecords.Select(record => new ReceivedLog(
        Texts.Service(resource.Resource), scope.Scope.Name, record.Body.StringValue, Texts.Hex(record.TraceId), Texts.Hex(record.SpanId))));
}

/// <summary>Values as text.</summary>
internal static class Texts
{
    public static string Service(Resource resource) => Of(resource.Attributes)["service.name"];

    public static string Hex(ByteString bytes) => Convert.ToHexStringLower(bytes.Span);

    public static IReadOnlyDictionary<string, string> Of(IEnumerable<KeyValue> attributes) => attributes.ToDictionary(pair => pair.Key, pair => Of(pair.Value), StringComparer.Ordinal);

    private static string Of(AnyValue value) => value.ValueCase switch
    {
        AnyValue.ValueOneofCase.StringValue => value.StringValue,
        AnyValue.ValueOneofCase.IntValue => value.IntValue.ToString(CultureInfo.InvariantCulture),
        AnyValue.ValueOneofCase.DoubleValue => value.DoubleValue.ToString("R", CultureInfo.InvariantCulture),
        AnyValue.ValueOneofCase.BoolValue => value.BoolValue ? "true" : "false",
        _ => value.ToString(),
    };
}
