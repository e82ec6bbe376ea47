using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Tests;

/// <summary>A made-up run of two clients and four steps, with figures that are easy to add up.</summary>
internal static class SampleEvents
{
    public static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    public static IReadOnlyList<RunEvent> Run { get; } =
    [
        new RunStartedEvent(Start, "demo", "splitfrozen run demo.yaml", 0),
        new RunPlannedEvent(Start, 100, 20, 30, 4, new Dictionary<string, int> { ["client-10"] = 60, ["client-2"] = 40, ["evaluation"] = 20 }),
        new EvaluationEvent(At(1), 0, 0, new Dictionary<string, double> { ["accuracy"] = 0.5, ["loss"] = 0.7 }, 20),
        new DeviceProgressEvent(At(1), "client-10", 40, 400, 2_000_000_000, 1 << 20, 0.5),
        new DeviceProgressEvent(At(2), "client-2", 30, 300, 1_500_000_000, 1 << 19, 0.25),
        new ActivationsIngestedEvent(At(2), "client-10", 40, 1 << 20),
        Step(2, 0, 0.8),
        Step(3, 1, 0.6),
        Step(4, 2, 0.5),
        Step(5, 3, 0.4),
        new CheckpointEvent(At(5), 4, 4),
        new EvaluationEvent(At(6), 1, 4, new Dictionary<string, double> { ["accuracy"] = 0.75, ["loss"] = 0.45 }, 20),
        new RunEndedEvent(At(7), "finished", 7, null),
    ];

    public static DateTimeOffset At(double seconds) => Start.AddSeconds(seconds);

    public static StepAppliedEvent Step(double second, int step, double loss) =>
        new(At(second), 0, step, loss, 1e-3, 1.5, 25, 250, 0.8, 0.2);

    public static RunProgress Progress(IEnumerable<RunEvent>? events = null)
    {
        var progress = new RunProgress();
        foreach (var runEvent in events ?? Run)
        {
            progress.Observe(runEvent);
        }

        return progress;
    }
}
