using System.Diagnostics;
using CsCheck;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class BatchTracesTests
{
    [Fact]
    public void Of_SamplesOfSeveralBatches_GivesEachBatchOnceInTheirOrder()
    {
        var (first, second) = (Batch(), Batch());
        var traces = new BatchTraces();
        traces.Remember(Samples(0, 3), first);
        traces.Remember(Samples(3, 3), second);

        Assert.Equal([second, first], traces.Of(References(4, 0, 5, 1, 99)));
        Assert.Empty(traces.Of(References(99)));
    }

    [Fact]
    public void Remember_SampleCameAgain_GivesTheNewerBatch()
    {
        var (first, second) = (Batch(), Batch());
        var traces = new BatchTraces();
        traces.Remember(Samples(0, 2), first);
        traces.Remember(Samples(1, 1), second);

        Assert.Equal([first, second], traces.Of(References(0, 1)));
    }

    [Fact]
    public void Remember_BatchThatIsNotRecorded_LeavesNothing()
    {
        var traces = new BatchTraces();
        traces.Remember(Samples(0, 2), default);
        traces.Remember(Samples(2, 2), new ActivityContext(ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), ActivityTraceFlags.None));

        Assert.Equal(0, traces.Count);
    }

    [Fact]
    public void Remember_WhateverComes_StaysWithinItsBoundAndKeepsWhatCameLast() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[0, 60].Array[0, 200]).Sample((capacity, rows) =>
        {
            var traces = new BatchTraces(capacity);
            foreach (var row in rows)
            {
                traces.Remember(Samples(row, 1), Batch());
                Assert.InRange(traces.Count, 1, capacity);
            }

            var firstComings = rows.Distinct().ToArray();
            Assert.Equal(Math.Min(capacity, firstComings.Length), traces.Count);
            if (firstComings.Length <= capacity)
            {
                Assert.Equal(firstComings.Length, traces.Of(References(firstComings)).Count);
            }
        });

    private static ActivityContext Batch() => new(ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), ActivityTraceFlags.Recorded);

    private static SampleId[] Samples(int first, int count) => [.. Enumerable.Range(first, count).Select(SampleId.Training)];

    private static SampleReference[] References(params int[] rows) => [.. rows.Select(row => new SampleReference(SampleId.Training(row), "c", 1, "key"))];
}
