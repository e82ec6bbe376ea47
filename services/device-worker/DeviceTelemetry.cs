using System.Diagnostics;
using System.Diagnostics.Metrics;
using SplitFrozen.Contracts.Telemetry;

namespace SplitFrozen.DeviceWorker;

/// <summary>Spans and metrics of the device worker.</summary>
internal static class DeviceTelemetry
{
    private static readonly ActivitySource Source = new(TelemetryNames.DeviceWorker);
    private static readonly Meter Meter = new(TelemetryNames.DeviceWorker);

    private static readonly Histogram<double> Forward = Meter.CreateHistogram(
        MetricNames.DeviceForward, "s", "Frozen forward of the samples of one batch.", tags: null,
        new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });

    private static readonly Counter<long> Samples = Meter.CreateCounter<long>(MetricNames.DeviceSamples, "{sample}", "Samples that were sent.");

    /// <summary>Starts the trace of a batch at the beginning of its forward, which has ended; null where nobody listens.</summary>
    public static Activity? StartBatch(PackedBatch packed)
    {
        var batch = packed.Batch;
        var activity = Source.StartRoot(SpanNames.ActivationBatch, packed.Started);
        if (activity is { IsAllDataRequested: true })
        {
            activity.SetTag(TelemetryNames.Run, batch.RunId);
            activity.SetTag(TelemetryNames.Client, batch.ClientId);
            activity.SetTag(TelemetryNames.Samples, batch.Lengths.Length);
            activity.SetTag(TelemetryNames.Tokens, batch.Tokens);
            activity.SetTag(TelemetryNames.Cut, batch.Cut);
            Source.AddEnded(SpanNames.DeviceForward, activity, packed.Started, packed.Finished, new(TelemetryNames.Samples, batch.Lengths.Length), new(TelemetryNames.Tokens, batch.Tokens));
        }

        return activity;
    }

    /// <summary>A batch is with the broker.</summary>
    public static void Sent(PackedBatch packed)
    {
        var tags = new TagList { { TelemetryNames.Run, packed.Batch.RunId }, { TelemetryNames.Client, packed.Batch.ClientId } };
        Forward.Record(packed.ComputeTime.TotalSeconds, tags);
        Samples.Add(packed.Batch.Lengths.Length, tags);
    }
}
