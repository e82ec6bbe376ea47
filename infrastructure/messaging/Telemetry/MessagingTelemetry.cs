using System.Diagnostics;
using System.Diagnostics.Metrics;
using SplitFrozen.Contracts.Telemetry;

namespace SplitFrozen.Messaging.Telemetry;

/// <summary>Spans and metrics of the data plane, by OpenTelemetry's messaging conventions.</summary>
internal static class MessagingTelemetry
{
    private static readonly ActivitySource Source = new(TelemetryNames.Messaging);
    private static readonly Meter Meter = new(TelemetryNames.Messaging);

    private static readonly Histogram<double> PublishDuration = Meter.CreateHistogram(
        MetricNames.PublishDuration, "s", "Duration of publishing a message, up to its confirmation.", tags: null,
        new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] });

    private static readonly UpDownCounter<long> QueueBytes = Meter.CreateUpDownCounter<long>(
        MetricNames.QueueBytes, "By", "Bytes of messages in the queues of this process' own transport, those in a consumer's hands included.");

    private static readonly Counter<long> RefusedMessages = Meter.CreateCounter<long>(
        MetricNames.Refused, "{message}", "Messages that were refused, by reason.");

    /// <summary>Starts the span of a publish below the current span. Null where nobody listens.</summary>
    public static Activity? StartPublish(MessageQueue queue, string? messageId, int bytes)
    {
        var activity = queue.HasSpans ? Source.StartActivity(queue.PublishSpan, ActivityKind.Producer) : null;
        return activity is { IsAllDataRequested: true } ? Describe(activity, queue, "publish", "send", messageId, bytes) : activity;
    }

    public static Activity? StartProcess(MessageTrace trace, int? samples)
    {
        if (!Source.HasListeners())
        {
            return null;
        }

        // Without a parent the current span would be taken for it: that of whatever once started the consumer.
        Activity.Current = null;
        var activity = Source.StartActivity(trace.Queue.ProcessSpan, ActivityKind.Consumer, trace.Parent);
        if (activity is { IsAllDataRequested: true })
        {
            Describe(activity, trace.Queue, "process", "process", trace.MessageId, trace.Bytes);
            activity.SetTag(TelemetryNames.Samples, samples);
        }

        return activity;
    }

    /// <summary>What became of a publish, on its span.</summary>
    public static void Published(Activity? activity, PublishOutcome outcome) => activity?.SetTag(TelemetryNames.PublishOutcome, Text(outcome));

    /// <summary>How long a publish to the broker took.</summary>
    public static void Measure(MessageQueue queue, PublishOutcome outcome, TimeSpan duration)
    {
        if (PublishDuration.Enabled)
        {
            PublishDuration.Record(duration.TotalSeconds, Tags(queue, new(TelemetryNames.PublishOutcome, Text(outcome))));
        }
    }

    /// <summary>A publish has failed. Only the kind of failure is told: a message may say more than others should read.</summary>
    public static void Failed(Activity? activity, MessageQueue queue, Exception exception, TimeSpan duration)
    {
        var type = exception.GetType().FullName!;
        activity?.SetTag(TelemetryNames.ErrorType, type).SetStatus(ActivityStatusCode.Error);
        if (PublishDuration.Enabled)
        {
            PublishDuration.Record(duration.TotalSeconds, Tags(queue, new(TelemetryNames.ErrorType, type)));
        }
    }

    /// <summary>A queue within this process has grown, or has shrunk.</summary>
    public static void QueueChanged(MessageQueue queue, long bytes) => QueueBytes.Add(bytes, new KeyValuePair<string, object?>(TelemetryNames.Run, queue.RunId));

    /// <summary>A message was refused before a service saw it.</summary>
    public static void Refused(string template, string reason) => RefusedMessages.Add(
        1, new KeyValuePair<string, object?>("messaging.destination.template", template), new KeyValuePair<string, object?>(TelemetryNames.RefusalReason, reason));

    private static string Text(PublishOutcome outcome) => outcome == PublishOutcome.Confirmed ? "confirmed" : "queue_full";

    private static TagList Tags(MessageQueue queue, KeyValuePair<string, object?> outcome) => new()
    {
        { "messaging.system", queue.System }, { "messaging.operation.name", "publish" }, { "messaging.destination.template", queue.Template }, outcome,
    };

    private static Activity Describe(Activity activity, MessageQueue queue, string operation, string type, string? messageId, int bytes)
    {
        activity.SetTag("messaging.system", queue.System);
        activity.SetTag("messaging.operation.name", operation);
        activity.SetTag("messaging.operation.type", type);
        activity.SetTag("messaging.destination.name", queue.Name);
        activity.SetTag("messaging.destination.template", queue.Template);
        activity.SetTag("messaging.message.id", messageId);
        if (bytes > 0)
        {
            activity.SetTag("messaging.message.body.size", bytes);
        }

        if (queue.RunId.Length > 0)
        {
            activity.SetTag(TelemetryNames.Run, queue.RunId);
        }

        activity.SetTag(TelemetryNames.Client, queue.ClientId);
        return activity;
    }
}
