using SplitFrozen.Contracts.Events;
using SplitFrozen.Cli.Reporting;

namespace SplitFrozen.Cli.Tests.Events;

public sealed class RunProgressTests
{
    [Fact]
    public void Observe_WholeRun_AddsUp() => SampleEvents.Progress().Read(view =>
    {
        var totals = RunTotals.Of(view);
        Assert.Equal(70, totals.Computed);
        Assert.Equal(3_500_000_000, totals.ForwardFlops);
        Assert.Equal((1 << 20) + (1 << 19), totals.Bytes);
        Assert.Equal(0.75, totals.DeviceSeconds, 9);
        Assert.Equal(3.2, totals.TrainerSeconds, 9);
        Assert.Equal(0.8, totals.StarvedSeconds, 9);
        Assert.Equal(1000, totals.TrainedTokens);
        Assert.Equal(7, totals.WallSeconds);
        Assert.Equal(["client-2", "client-10", "evaluation"], view.Clients.Keys);
        return true;
    });

    [Fact]
    public void Observe_StepRepeatedAfterAResume_CountsOnce()
    {
        RunEvent[] resumed =
        [
            .. SampleEvents.Run.SkipLast(1),
            new RunEndedEvent(SampleEvents.At(6), "interrupted", 6, null),
            new RunStartedEvent(SampleEvents.At(100), "demo", "splitfrozen run demo.yaml", 2),
            SampleEvents.Step(101, 2, 0.55),
            SampleEvents.Step(102, 3, 0.45),
            new RunEndedEvent(SampleEvents.At(103), "finished", 3, null),
        ];
        SampleEvents.Progress(resumed).Read(view =>
        {
            Assert.Equal([0, 1, 2, 3], view.Steps.Keys);
            Assert.Equal(0.55, view.Steps[2].Loss);
            Assert.Equal(9, view.Progress.EarlierSeconds);
            Assert.Equal(2, view.Progress.Starts);
            return true;
        });
    }

    [Fact]
    public void Observe_PlannedAgainOnResume_KeepsTheFirstCountOfCacheHits()
    {
        var plan = (RunPlannedEvent)SampleEvents.Run[1];
        var progress = SampleEvents.Progress([plan, plan with { CachedSamples = 120 }]);
        Assert.Equal(30, progress.CachedAtFirst);
    }
}
