using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text.Json;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>Spans and metrics of the coordinator.</summary>
internal static class CoordinatorTelemetry
{
    private static readonly ActivitySource Source = new(TelemetryNames.Coordinator);
    private static readonly Meter Meter = new(TelemetryNames.Coordinator);
    private static readonly Counter<long> Samples = Meter.CreateCounter<long>(MetricNames.IntakeSamples, "{sample}", "Samples taken in: validated, cached and recorded.");
    private static readonly Counter<long> Bytes = Meter.CreateCounter<long>(MetricNames.IntakeBytes, "By", "Bytes of the message bodies that were taken in.");
    private static readonly Counter<long> Composed = Meter.CreateCounter<long>(MetricNames.StepsComposed, "{step}", "Step messages composed.");

    private static readonly UpDownCounter<long> BytesInFlight = Meter.CreateUpDownCounter<long>(
        MetricNames.IntakeBytesInFlight, "By", "Bytes of message bodies that are validated and stored now.");

    private static readonly Counter<long> Refused = Meter.CreateCounter<long>(MetricNames.Refused, "{message}", "Messages that were refused, by reason.");

    /// <summary>Starts a part of a message's processing. Null where nobody listens.</summary>
    public static Activity? StartPart(string name) => Source.StartActivity(name);

    /// <summary>A message comes into the intake's hands, or leaves them.</summary>
    public static void InFlight(string runId, long bytes) => BytesInFlight.Add(bytes, new KeyValuePair<string, object?>(TelemetryNames.Run, runId));

    /// <summary>A message is in cache and ledger.</summary>
    public static void Ingested(string runId, string clientId, int samples, int bytes)
    {
        var tags = new TagList { { TelemetryNames.Run, runId }, { TelemetryNames.Client, clientId } };
        Samples.Add(samples, tags);
        Bytes.Add(bytes, tags);
    }

    /// <summary>A message is refused. The reason's kind is told and not its text, which repeats what a stranger wrote.</summary>
    /// <param name="processing">The span of its processing.</param>
    /// <param name="runId">The run.</param>
    /// <param name="clientId">Whose message.</param>
    /// <param name="reason">What is wrong with the body; null where it is good but not in the client's manifest.</param>
    public static void Refuse(Activity? processing, string runId, string clientId, WireRefusalReason? reason)
    {
        var kind = reason is { } wire ? JsonNamingPolicy.SnakeCaseLower.ConvertName(wire.ToString()) : "not_in_manifest";
        processing?.SetTag(TelemetryNames.RefusalReason, kind).SetTag(TelemetryNames.ErrorType, kind).SetStatus(ActivityStatusCode.Error);
        Refused.Add(1, new TagList { { TelemetryNames.Run, runId }, { TelemetryNames.Client, clientId }, { TelemetryNames.RefusalReason, kind } });
    }

    /// <summary>Starts the trace of a step message, linked to the batches that its samples came in; null where nobody listens.</summary>
    public static Activity? StartStep(StepMessage step, BatchTraces batches, bool repeated)
    {
        Composed.Add(repeated ? 0 : 1, new TagList { { TelemetryNames.Run, step.RunId }, { TelemetryNames.StepKind, Kind(step) } });
        if (!Source.HasListeners())
        {
            return null;
        }

        var links = batches.Of(step.Samples);
        var activity = Source.StartRoot(SpanNames.ComposeStep, links: links.Take(BatchTraces.MaximumLinks).Select(batch => new ActivityLink(batch)));
        if (activity is { IsAllDataRequested: true })
        {
            activity.SetTag(TelemetryNames.Run, step.RunId);
            activity.SetTag(TelemetryNames.Sequence, step.Sequence);
            activity.SetTag(TelemetryNames.StepKind, Kind(step));
            activity.SetTag(TelemetryNames.Epoch, step.Epoch);
            activity.SetTag(TelemetryNames.Step, step.Step);
            activity.SetTag(TelemetryNames.Samples, step.Samples.Length);
            activity.SetTag(TelemetryNames.Batches, links.Count);
            activity.SetTag(TelemetryNames.Repeated, repeated ? true : null);
        }

        return activity;
    }

    private static string Kind(StepMessage step) => step.Kind == Contracts.Messages.StepKind.Train ? "train" : "evaluate";
}
