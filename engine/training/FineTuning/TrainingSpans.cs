using System.Diagnostics;
using SplitFrozen.Contracts.Telemetry;

namespace SplitFrozen.Training.FineTuning;

/// <summary>
/// Spans of what an optimiser step is made of, below whatever span is current on the compute thread. Where nobody listens they are null,
/// and nothing is allocated.
/// </summary>
internal static class TrainingSpans
{
    private static readonly ActivitySource Source = new(TelemetryNames.Training);

    /// <summary>A whole step.</summary>
    public static Activity? Step(int step)
    {
        var activity = Source.StartActivity(SpanNames.TrainStep);
        return activity is { IsAllDataRequested: true } ? activity.SetTag(TelemetryNames.Step, step) : activity;
    }

    /// <summary>A pass of one micro-batch, or the update.</summary>
    /// <param name="name">One of <see cref="SpanNames"/>.</param>
    /// <param name="microBatch">The micro-batch, from 0; below 0 for none.</param>
    /// <param name="tokens">Its tokens; below 0 where that is not told.</param>
    /// <param name="stage">The stage, from 0; below 0 where there is one piece.</param>
    public static Activity? Pass(string name, int microBatch = -1, long tokens = -1, int stage = -1)
    {
        var activity = Source.StartActivity(name);
        if (activity is { IsAllDataRequested: true })
        {
            SetCount(activity, TelemetryNames.MicroBatch, microBatch);
            SetCount(activity, TelemetryNames.Tokens, tokens);
            SetCount(activity, TelemetryNames.Stage, stage);
        }

        return activity;
    }

    private static void SetCount(Activity activity, string name, long count)
    {
        if (count >= 0)
        {
            activity.SetTag(name, count);
        }
    }
}
