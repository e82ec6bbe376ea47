using System.Diagnostics;
using System.Text;

namespace SplitFrozen.Messaging.Telemetry;

/// <summary>
/// W3C trace context in the headers of a message. What comes in is a stranger's: it is taken only where it is short and well formed,
/// and is otherwise as if it were not there. The worst that a device can do with it is to call its batches part of another trace.
/// </summary>
internal static class TraceHeaders
{
    private const string TraceParent = "traceparent";
    private const string TraceState = "tracestate";

    /// <summary>Length of version 00; a later version may be longer, but means nothing here beyond it.</summary>
    private const int MaximumTraceParent = 128;

    /// <summary>What the recommendation asks a receiver to pass on at least.</summary>
    private const int MaximumTraceState = 512;

    /// <summary>Writes the context of a span, or that of the current one where there is none; nothing where there is neither.</summary>
    public static void Write(Activity? activity, IDictionary<string, object?> headers)
    {
        if ((activity ?? Activity.Current) is not { IdFormat: ActivityIdFormat.W3C } span)
        {
            return;
        }

        headers[TraceParent] = span.Id;
        if (span.TraceStateString is { Length: > 0 } state)
        {
            headers[TraceState] = state;
        }
    }

    /// <summary>The context that a message came with; default where it came with none or with a bad one.</summary>
    public static ActivityContext Read(IDictionary<string, object?>? headers) =>
        Text(headers, TraceParent, MaximumTraceParent) is { } parent
        && ActivityContext.TryParse(parent, Text(headers, TraceState, MaximumTraceState), isRemote: true, out var context)
            ? context
            : default;

    private static string? Text(IDictionary<string, object?>? headers, string name, int maximum) =>
        headers is not null && headers.TryGetValue(name, out var value) && value is byte[] bytes && bytes.Length <= maximum && IsPrintable(bytes)
            ? Encoding.ASCII.GetString(bytes)
            : null;

    private static bool IsPrintable(ReadOnlySpan<byte> bytes) => !bytes.ContainsAnyExceptInRange((byte)' ', (byte)'~');
}
