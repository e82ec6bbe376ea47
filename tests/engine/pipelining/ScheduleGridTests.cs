namespace SplitFrozen.Pipelining.Tests;

/// <summary>What must hold for every schedule, over a grid of up to 8 stages and 32 micro-batches.</summary>
public sealed class ScheduleGridTests
{
    private static readonly StageCost[] s_costs = [StageCost.Unit, new(1, 1.2, 0.05), new(1, 0.8, 0.5), new(0.5, 1, 0)];

    public static TheoryData<PipelineScheduleKind> Kinds => [.. Enum.GetValues<PipelineScheduleKind>()];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void EveryStage_DoesEveryPassOnce_ForwardBeforeBackwardBeforeWeights(PipelineScheduleKind kind) => OverGrid(kind, schedule =>
    {
        foreach (var stage in Trained(schedule))
        {
            var position = stage.Select((action, index) => (action, index)).ToDictionary(pair => pair.action, pair => pair.index);
            for (var batch = 0; batch < schedule.Request.MicroBatches; batch++)
            {
                var forward = position[new PipelineAction(ActionKind.Forward, batch)];
                if (kind == PipelineScheduleKind.ZeroBubble)
                {
                    Assert.True(forward < position[new PipelineAction(ActionKind.BackwardInput, batch)]);
                    Assert.True(position[new PipelineAction(ActionKind.BackwardInput, batch)] < position[new PipelineAction(ActionKind.BackwardWeight, batch)]);
                }
                else
                {
                    Assert.True(forward < position[new PipelineAction(ActionKind.Backward, batch)]);
                }
            }

            Assert.Equal(schedule.Request.MicroBatches * (kind == PipelineScheduleKind.ZeroBubble ? 3 : 2), stage.Count);

            // Gradients are summed in one order, whatever the schedule: the bits of the sum do not depend on it.
            foreach (var pass in stage.GroupBy(action => action.Kind))
            {
                Assert.Equal(Enumerable.Range(0, schedule.Request.MicroBatches), pass.Select(action => action.MicroBatch));
            }
        }
    });

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Timeline_OfAnyCosts_EndsWithoutDeadlock(PipelineScheduleKind kind) => OverGrid(kind, schedule =>
    {
        foreach (var cost in s_costs)
        {
            var costs = schedule.Stages.Select((_, stage) => new StageCost(cost.Forward * (1 + (stage % 3)), cost.BackwardInput, cost.BackwardWeight)).ToArray();
            var timeline = PipelineTimeline.Of(CommunicationPass.Insert(schedule), costs);
            Assert.InRange(timeline.BubbleShare, 0 - 1e-9, 1);
        }
    });

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Bubble_OfEqualStages_IsThatOfTheFormula(PipelineScheduleKind kind) => OverGrid(kind, schedule =>
    {
        foreach (var cost in s_costs.Where(cost => cost.BackwardWeight <= Math.Min(cost.Forward, cost.BackwardInput)))
        {
            var (stages, batches) = (schedule.Request.Stages, schedule.Request.MicroBatches);
            if (cost.Forward.Equals(cost.BackwardInput) || batches >= stages)
            {
                var expected = Bubble.Time(kind, stages, batches, cost);
                var timeline = PipelineTimeline.Of(schedule, [.. schedule.Stages.Select(_ => cost)]);
                Assert.Equal(expected, timeline.Length - (batches * cost.Total), 9);
                Assert.Equal(Bubble.Share(kind, stages, batches, cost), timeline.BubbleShare, 9);
            }
        }
    }, forwardStages: [0]);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void MemoryInFlight_StaysWithinTheSchedulesOwnBound(PipelineScheduleKind kind) => OverGrid(kind, schedule =>
    {
        var (stages, batches, devices) = (schedule.Request.Stages, schedule.Request.MicroBatches, schedule.Request.ForwardStages);
        for (var stage = 0; stage < stages; stage++)
        {
            var bound = kind switch { PipelineScheduleKind.GPipe => batches, PipelineScheduleKind.OneForwardOneBackward => stages - stage, _ => stages };
            Assert.InRange(schedule.MostInFlight(devices + stage), 1, bound);
        }

        Assert.All(Enumerable.Range(0, devices), device => Assert.Equal(0, schedule.MostInFlight(device)));
    });

    [Theory]
    [InlineData(PipelineScheduleKind.OneForwardOneBackward)]
    [InlineData(PipelineScheduleKind.ZeroBubble)]
    public void MemoryLimit_IsKept_AndNothingIsLost(PipelineScheduleKind kind)
    {
        for (var limit = 1; limit <= 8; limit++)
        {
            OverGrid(kind, schedule =>
            {
                Assert.All(Enumerable.Range(0, schedule.Stages.Count), stage => Assert.InRange(schedule.MostInFlight(stage), 0, limit));
                Assert.All(Trained(schedule), stage => Assert.Equal(schedule.Request.MicroBatches, stage.Count(action => action.Kind == ActionKind.Forward)));
                Assert.True(PipelineTimeline.Of(schedule, [.. schedule.Stages.Select(_ => StageCost.Unit)]).Length > 0);
            }, limit);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void CommunicationPass_PairsEverySendWithItsReceive(PipelineScheduleKind kind) => OverGrid(kind, plain =>
    {
        var schedule = CommunicationPass.Insert(plain);
        for (var stage = 0; stage + 1 < schedule.Stages.Count; stage++)
        {
            var (before, behind) = (schedule.Stages[stage], schedule.Stages[stage + 1]);
            Assert.Equal(Of(before, ActionKind.SendActivation), Of(behind, ActionKind.ReceiveActivation));
            Assert.Equal(Of(behind, ActionKind.SendGradient), Of(before, ActionKind.ReceiveGradient));
            Assert.Equal(stage < plain.Request.ForwardStages ? 0 : plain.Request.MicroBatches, Of(behind, ActionKind.SendGradient).Length);
        }

        Assert.Equal(plain.Stages.Select(actions => actions.ToArray()), schedule.Stages.Select(actions => actions.Where(action => action.Computes).ToArray()));
        Assert.DoesNotContain(schedule.Stages[0], action => action.Kind is ActionKind.ReceiveActivation or ActionKind.SendGradient);
        Assert.DoesNotContain(schedule.Stages[^1], action => action.Kind is ActionKind.ReceiveGradient or ActionKind.SendActivation);

        static int[] Of(IReadOnlyList<PipelineAction> actions, ActionKind kind) => [.. actions.Where(action => action.Kind == kind).Select(action => action.MicroBatch)];
    });

    [Fact]
    public void Timeline_OfStagesThatWaitForEachOther_SaysWhichAndAtWhat()
    {
        var good = PipelineSchedule.Create(new ScheduleRequest(PipelineScheduleKind.GPipe, 2, 2));
        var bad = good with { Stages = [[.. good.Stages[0].Reverse()], good.Stages[1]] };
        var error = Assert.Throws<InvalidOperationException>(() => PipelineTimeline.Of(bad, [StageCost.Unit, StageCost.Unit]));
        Assert.Equal("Stage 0 waits for ever at BW1.", error.Message);
    }

    [Theory]
    [InlineData(0, 1, null, "0 stages")]
    [InlineData(1, 0, null, "0 micro-batches")]
    [InlineData(1, 1, 0, "a memory limit of 0")]
    [InlineData(2, 8, 4, "GPipe holds all 8 micro-batches, and the memory limit is 4")]
    public void ImpossibleRequest_IsRefusedWithItsReason(int stages, int microBatches, int? limit, string reason) => Assert.Contains(
        reason,
        Assert.Throws<ArgumentException>(() => PipelineSchedule.Create(new ScheduleRequest(PipelineScheduleKind.GPipe, stages, microBatches) { MemoryLimit = limit })).Message,
        StringComparison.Ordinal);

    private static IEnumerable<IReadOnlyList<PipelineAction>> Trained(PipelineSchedule schedule) => schedule.Stages.Skip(schedule.Request.ForwardStages);

    private static void OverGrid(PipelineScheduleKind kind, Action<PipelineSchedule> check, int? limit = null, int[]? forwardStages = null)
    {
        foreach (var devices in forwardStages ?? [0, 1, 2])
        {
            for (var stages = 1; stages <= 8; stages++)
            {
                for (var batches = 1; batches <= 32; batches++)
                {
                    check(PipelineSchedule.Create(new ScheduleRequest(kind, stages, batches) { ForwardStages = devices, MemoryLimit = limit }));
                }
            }
        }
    }
}
