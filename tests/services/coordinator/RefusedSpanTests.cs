using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Services.Tests.Support;
using SplitFrozen.Tests;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>What spans and metrics tell of a refused message.</summary>
public sealed class RefusedSpanTests : CoordinatedRun
{
    [Fact]
    public async Task Run_HostileMessages_AreToldByReasonAndWithoutTheStrangersText()
    {
        const string Strange = "a-name-that-a-stranger-made-up";
        var reasons = new ConcurrentBag<string?>();
        using var metrics = new MeterListener { InstrumentPublished = Enable };
        metrics.SetMeasurementEventCallback<long>((_, _, tags, _) => reasons.Add(tags.ToArray().ToDictionary()[TelemetryNames.RefusalReason]?.ToString()));
        metrics.Start();
        using var recorded = new RecordedActivities(TelemetryNames.Messaging);
        using var sender = new Activity("hostile").SetIdFormat(ActivityIdFormat.W3C).Start();
        Devices(2, 20, 0);
        foreach (var body in new[] { [], FakeDevice.Body(Strange, "c0", SampleId.Training(0)), FakeDevice.Body(Run, "c0", SampleId.Training(1)) })
        {
            await _data.PublishAsync(Run, "c0", body, TestContext.Current.CancellationToken);
        }

        Activity.Current = null;
        await CompleteAsync(Options(2) with { IngestConcurrency = 1 }, Trainer());

        var refused = recorded.Ended.Where(span => span.TraceId == sender.TraceId && span.Kind == ActivityKind.Consumer && span.Status == ActivityStatusCode.Error).ToArray();
        string[] expected = ["not_safetensors", "not_expected", "not_in_manifest"];
        Assert.Equal(expected, refused.Select(span => span.GetTagItem(TelemetryNames.RefusalReason)));
        Assert.Superset(expected.ToHashSet(), reasons.ToHashSet()!);
        Assert.All(refused, span => Assert.DoesNotContain(span.TagObjects, tag => tag.Value?.ToString()?.Contains(Strange, StringComparison.Ordinal) == true));

        static void Enable(Instrument instrument, MeterListener listener)
        {
            if (instrument.Meter.Name == TelemetryNames.Coordinator && instrument.Name == MetricNames.Refused)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        }
    }
}
