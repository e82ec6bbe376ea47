namespace SplitFrozen.Pipelining.Tests;

/// <summary>Schedules as a person reads them, one line a stage. They are written anew into the folder that SPLITFROZEN_WRITE_GOLDEN names, a whole path.</summary>
public sealed class GoldenScheduleTests
{
    public static TheoryData<string, PipelineScheduleKind, int, bool> Schedules => new()
    {
        { "gpipe-4x6", PipelineScheduleKind.GPipe, 0, false },
        { "1f1b-4x6", PipelineScheduleKind.OneForwardOneBackward, 0, false },
        { "zb-4x6", PipelineScheduleKind.ZeroBubble, 0, false },
        { "1f1b-4x6-sends", PipelineScheduleKind.OneForwardOneBackward, 0, true },
        { "zb-4x6-devices-sends", PipelineScheduleKind.ZeroBubble, 1, true },
    };

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Schedule_FourStagesSixMicroBatches_IsTheStoredOne(string name, PipelineScheduleKind kind, int forwardStages, bool sends)
    {
        var schedule = PipelineSchedule.Create(new ScheduleRequest(kind, 4, 6) { ForwardStages = forwardStages });
        var text = (sends ? CommunicationPass.Insert(schedule) : schedule) + "\n";
        if (Environment.GetEnvironmentVariable("SPLITFROZEN_WRITE_GOLDEN") is { Length: > 0 } folder)
        {
            File.WriteAllText(Path.Combine(folder, $"{name}.txt"), text);
        }

        Assert.Equal(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Golden", $"{name}.txt")), text);
    }
}
