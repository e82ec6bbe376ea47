namespace SplitFrozen.Pipelining;

/// <summary>Adds to a schedule what its stages send each other.</summary>
public static class CommunicationPass
{
    /// <summary>
    /// The same schedule with a receive before and a send behind every action that needs one. Sends do not wait, so the order of a stage's
    /// computing is the only thing that can make another wait.
    /// </summary>
    public static PipelineSchedule Insert(PipelineSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return schedule with { Stages = [.. schedule.Stages.Select((actions, stage) => actions.SelectMany(action => Surround(schedule, stage, action)).ToArray())] };
    }

    private static IEnumerable<PipelineAction> Surround(PipelineSchedule schedule, int stage, PipelineAction action)
    {
        var isFirst = stage == 0;
        var isLast = stage == schedule.Stages.Count - 1;
        var (receives, sends) = action.Kind switch
        {
            ActionKind.Forward => (isFirst ? default(ActionKind?) : ActionKind.ReceiveActivation, isLast ? default(ActionKind?) : ActionKind.SendActivation),
            ActionKind.BackwardInput or ActionKind.Backward =>
                (isLast ? null : ActionKind.ReceiveGradient, stage <= schedule.Request.ForwardStages ? null : ActionKind.SendGradient),
            _ => (null, null),
        };
        if (receives is { } receive)
        {
            yield return action with { Kind = receive };
        }

        yield return action;
        if (sends is { } send)
        {
            yield return action with { Kind = send };
        }
    }
}
