using System.Diagnostics;
using System.Diagnostics.Metrics;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Messaging;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Trainer;

/// <summary>Spans and metrics of the trainer.</summary>
internal static class TrainerTelemetry
{
    private static readonly ActivitySource Source = new(TelemetryNames.Trainer);
    private static readonly Meter Meter = new(TelemetryNames.Trainer);
    private static readonly Counter<double> Wait = Meter.CreateCounter<double>(MetricNames.TrainerWait, "s", "Time without anything to compute: the trainer's starvation.");
    private static readonly Counter<double> Compute = Meter.CreateCounter<double>(MetricNames.TrainerCompute, "s", "Time of computing optimiser steps.");
    private static readonly Counter<long> Steps = Meter.CreateCounter<long>(MetricNames.TrainerSteps, "{step}", "Optimiser steps applied.");
    private static readonly Counter<long> Samples = Meter.CreateCounter<long>(MetricNames.TrainerSamples, "{sample}", "Samples trained on, by client.");
    private static readonly Counter<long> Tokens = Meter.CreateCounter<long>(MetricNames.TrainerTokens, "{token}", "Tokens trained on.");
    private static readonly Gauge<double> Loss = Meter.CreateGauge<double>(MetricNames.TrainerLoss, "1", "Mean loss of the last step.");

    private static readonly Histogram<double> CheckpointDuration = Meter.CreateHistogram(
        MetricNames.CheckpointDuration, "s", "Writing of a checkpoint, flushed to the disk.", tags: null,
        new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });

    /// <summary>Starts the span of a step message's handling, from its fetch on; null where nobody listens.</summary>
    public static Activity? StartProcess(IStepDelivery delivery)
    {
        var step = delivery.Step;
        var activity = delivery.Trace.StartProcess(step.Samples.Length);
        if (activity is { IsAllDataRequested: true })
        {
            activity.SetTag(TelemetryNames.Sequence, step.Sequence);
            activity.SetTag(TelemetryNames.Epoch, step.Epoch);
            activity.SetTag(TelemetryNames.Step, step.Step);
        }

        return activity;
    }

    /// <summary>Starts a part of it below the current span. Null where nobody listens.</summary>
    public static Activity? StartPart(string name) => Source.StartActivity(name);

    /// <summary>Starts the span of a leader's command at another stage, below the leader's own span. Null where nobody listens.</summary>
    public static Activity? StartStageCommand(string? traceParent, string command, int stage)
    {
        _ = ActivityContext.TryParse(traceParent, traceState: null, isRemote: true, out var parent);
        var activity = Source.StartActivity(SpanNames.StageCommand, ActivityKind.Server, parent);
        if (activity is { IsAllDataRequested: true })
        {
            activity.SetTag(TelemetryNames.Command, command);
            activity.SetTag(TelemetryNames.Stage, (long)stage);
        }

        return activity;
    }

    /// <summary>A step's update is applied.</summary>
    public static void Applied(Activity? processing, StepMessage step, StepResult result, TimeSpan computed, TimeSpan waited)
    {
        processing?.SetTag(TelemetryNames.WaitSeconds, waited.TotalSeconds);
        var run = new KeyValuePair<string, object?>(TelemetryNames.Run, step.RunId);
        Wait.Add(waited.TotalSeconds, run);
        Compute.Add(computed.TotalSeconds, run);
        Steps.Add(1, run);
        Tokens.Add(result.Tokens, run);
        if (!double.IsNaN(result.Loss))
        {
            processing?.SetTag(TelemetryNames.Loss, result.Loss);
            Loss.Record(result.Loss, run);
        }

        if (Samples.Enabled)
        {
            foreach (var client in step.Samples.CountBy(sample => sample.ClientId))
            {
                Samples.Add(client.Value, run, new KeyValuePair<string, object?>(TelemetryNames.Client, client.Key));
            }
        }
    }

    /// <summary>A checkpoint is on the disk.</summary>
    public static void CheckpointWritten(string runId, TimeSpan duration) =>
        CheckpointDuration.Record(duration.TotalSeconds, new KeyValuePair<string, object?>(TelemetryNames.Run, runId));
}
