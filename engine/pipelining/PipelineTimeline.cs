namespace SplitFrozen.Pipelining;

/// <summary>What the passes of a stage take for one micro-batch, in any one unit of time.</summary>
/// <param name="Forward">F.</param>
/// <param name="BackwardInput">B.</param>
/// <param name="BackwardWeight">W.</param>
public readonly record struct StageCost(double Forward, double BackwardInput, double BackwardWeight)
{
    /// <summary>One unit each.</summary>
    public static StageCost Unit { get; } = new(1, 1, 1);

    /// <summary>All three passes.</summary>
    public double Total => Forward + BackwardInput + BackwardWeight;

    /// <summary>Time of an action; sends and receives take none.</summary>
    public double Of(ActionKind kind) => kind switch
    {
        ActionKind.Forward => Forward,
        ActionKind.BackwardInput => BackwardInput,
        ActionKind.BackwardWeight => BackwardWeight,
        ActionKind.Backward => BackwardInput + BackwardWeight,
        _ => 0,
    };
}

/// <summary>An action with its time.</summary>
/// <param name="Action">The action.</param>
/// <param name="Start">When it begins, from the step's start.</param>
/// <param name="End">When it ends.</param>
public readonly record struct TimedAction(PipelineAction Action, double Start, double End);

/// <summary>When each stage does what, by given costs.</summary>
public sealed class PipelineTimeline
{
    private PipelineTimeline(PipelineSchedule schedule, IReadOnlyList<IReadOnlyList<TimedAction>> stages) => (Schedule, Stages) = (schedule, stages);

    /// <summary>The schedule.</summary>
    public PipelineSchedule Schedule { get; }

    /// <summary>The computing of every stage, in its order.</summary>
    public IReadOnlyList<IReadOnlyList<TimedAction>> Stages { get; }

    /// <summary>From the step's start to the end of its last action.</summary>
    public double Length => Stages.Max(stage => stage.Count == 0 ? 0 : stage[^1].End);

    /// <summary>The share of the trained stages' time that they wait, from the first one's start to the last one's end.</summary>
    public double BubbleShare
    {
        get
        {
            var trained = Stages.Skip(Schedule.Request.ForwardStages).ToArray();
            var first = trained.Min(stage => stage[0].Start);
            var busy = trained.Sum(stage => stage.Sum(action => action.End - action.Start));
            return 1 - (busy / (trained.Length * (trained.Max(stage => stage[^1].End) - first)));
        }
    }

    /// <summary>What was measured while the stages ran.</summary>
    /// <param name="schedule">The schedule.</param>
    /// <param name="stages">The actions of every stage, see <see cref="StageRuntime.Run"/>; sends and receives are left out.</param>
    public static PipelineTimeline Measured(PipelineSchedule schedule, IReadOnlyList<IReadOnlyList<TimedAction>> stages)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(stages);
        return new PipelineTimeline(schedule, [.. stages.Select(actions => actions.Where(timed => timed.Action.Computes).ToArray())]);
    }

    /// <summary>Runs a schedule in thought: every action begins as soon as its stage is free and what it needs is there.</summary>
    /// <param name="schedule">The schedule, with or without sends and receives.</param>
    /// <param name="costs">A cost for every stage; sends and receives take no time.</param>
    /// <exception cref="ArgumentException">There are more or fewer costs than stages.</exception>
    /// <exception cref="InvalidOperationException">The stages wait for each other for ever.</exception>
    public static PipelineTimeline Of(PipelineSchedule schedule, IReadOnlyList<StageCost> costs)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(costs);
        if (costs.Count != schedule.Stages.Count)
        {
            throw new ArgumentException($"The schedule has {schedule.Stages.Count} stages; {costs.Count} costs are given.", nameof(costs));
        }

        PipelineAction[][] open = [.. schedule.Stages.Select(actions => actions.Where(action => action.Computes).ToArray())];
        var timed = open.Select(actions => new List<TimedAction>(actions.Length)).ToArray();
        var ends = new Dictionary<(ActionKind Kind, int MicroBatch, int Stage), double>();
        for (var moved = true; moved;)
        {
            moved = false;
            for (var stage = 0; stage < open.Length; stage++)
            {
                while (timed[stage].Count < open[stage].Length && Ready(open[stage][timed[stage].Count], stage) is { } ready)
                {
                    var action = open[stage][timed[stage].Count];
                    var start = Math.Max(ready, timed[stage] is [.., var last] ? last.End : 0);
                    var end = start + costs[stage].Of(action.Kind);
                    timed[stage].Add(new TimedAction(action, start, end));
                    ends[(Produces(action.Kind), action.MicroBatch, stage)] = end;
                    moved = true;
                }
            }
        }

        var stuck = Enumerable.Range(0, open.Length).FirstOrDefault(stage => timed[stage].Count < open[stage].Length, -1);
        return stuck < 0
            ? new PipelineTimeline(schedule, timed)
            : throw new InvalidOperationException($"Stage {stuck} waits for ever at {open[stuck][timed[stuck].Count]}.");

        double? Ready(PipelineAction action, int stage) => action.Kind switch
        {
            ActionKind.Forward => stage == 0 ? 0 : End(ActionKind.Forward, action.MicroBatch, stage - 1),
            ActionKind.BackwardWeight => End(ActionKind.BackwardInput, action.MicroBatch, stage),
            _ => End(ActionKind.Forward, action.MicroBatch, stage) is not { } own ? null
                : stage == open.Length - 1 ? own
                : End(ActionKind.BackwardInput, action.MicroBatch, stage + 1) is { } gradient ? Math.Max(own, gradient) : null,
        };

        double? End(ActionKind kind, int microBatch, int stage) => ends.TryGetValue((kind, microBatch, stage), out var end) ? end : null;
    }

    /// <summary>A backward in one gives the gradient that B gives, at its end.</summary>
    private static ActionKind Produces(ActionKind kind) => kind == ActionKind.Backward ? ActionKind.BackwardInput : kind;
}
