using System.Diagnostics;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Tests;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Training.Tests.FineTuning;

public sealed class TrainingSpansTests
{
    [Fact]
    public void Train_SomebodyListens_TellsThePassesOfEachMicroBatchAndTheUpdate()
    {
        using var recorded = new RecordedActivities(TelemetryNames.Training);
        using var files = new SmallModel();
        using var model = files.Open();
        using var tuner = new FineTuner(model, new TrainingSpec { MicroBatch = 3, Schedule = "constant" }, 30, 1, labelsPerToken: false);
        var samples = files.Samples(8, [2], false);
        var result = tuner.Train(4, samples);
        Array.ForEach(samples, sample => sample.Hidden.Dispose());

        var step = recorded.Ended[^1];
        string[] passes = [SpanNames.Forward, SpanNames.BackwardInput, SpanNames.BackwardWeight];
        Assert.Equal([.. passes, .. passes, .. passes, SpanNames.OptimizerStep, SpanNames.TrainStep], recorded.Ended.Select(span => span.OperationName));
        Assert.Equal(4, step.GetTagItem(TelemetryNames.Step));
        Assert.All(recorded.Ended.SkipLast(1), span => Assert.Equal(step.SpanId, span.ParentSpanId));
        Assert.Equal([0L, 1L, 2L], Of(SpanNames.BackwardWeight).Select(span => span.GetTagItem(TelemetryNames.MicroBatch)));
        Assert.Equal(result.Tokens, Of(SpanNames.Forward).Sum(span => (long)span.GetTagItem(TelemetryNames.Tokens)!));

        IEnumerable<Activity> Of(string name) => recorded.Ended.Where(span => span.OperationName == name);
    }

    [Fact]
    public void Spans_NobodyListens_AllocateNothing()
    {
        Use();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var n = 0; n < 1000; n++)
        {
            Use();
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        static void Use()
        {
            using var step = TrainingSpans.Step(7);
            using var pass = TrainingSpans.Pass(SpanNames.Forward, 1, 100);
        }
    }
}
