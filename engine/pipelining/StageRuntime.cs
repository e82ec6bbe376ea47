namespace SplitFrozen.Pipelining;

/// <summary>What a stage can do with a micro-batch; the runtime decides when. Receives wait, everything else works on the calling thread.</summary>
public interface IStageWork
{
    /// <summary>F.</summary>
    void Forward(int microBatch);

    /// <summary>B.</summary>
    void BackwardInput(int microBatch);

    /// <summary>W.</summary>
    void BackwardWeight(int microBatch);

    /// <summary>Waits for the activations of the stage before.</summary>
    void ReceiveActivation(int microBatch, CancellationToken cancellationToken);

    /// <summary>Hands activations to the stage behind.</summary>
    void SendActivation(int microBatch);

    /// <summary>Waits for the gradient from the stage behind.</summary>
    void ReceiveGradient(int microBatch, CancellationToken cancellationToken);

    /// <summary>Hands the gradient to the stage before.</summary>
    void SendGradient(int microBatch);
}

/// <summary>Runs a stage's actions in their order.</summary>
public static class StageRuntime
{
    /// <summary>Runs them on the calling thread.</summary>
    /// <param name="actions">The stage's actions, with sends and receives.</param>
    /// <param name="work">The stage.</param>
    /// <param name="time">Clock of the result.</param>
    /// <param name="origin">Timestamp of the step's start by that clock.</param>
    /// <param name="cancellationToken">Abandons the step between two actions, and while it waits.</param>
    /// <returns>When each action began and ended, in seconds from the origin.</returns>
    public static IReadOnlyList<TimedAction> Run(
        IReadOnlyList<PipelineAction> actions, IStageWork work, TimeProvider time, long origin, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(actions);
        ArgumentNullException.ThrowIfNull(work);
        ArgumentNullException.ThrowIfNull(time);
        var timed = new List<TimedAction>(actions.Count);
        foreach (var action in actions)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var start = time.GetElapsedTime(origin).TotalSeconds;
            Dispatch(action, work, cancellationToken);
            timed.Add(new TimedAction(action, start, time.GetElapsedTime(origin).TotalSeconds));
        }

        return timed;
    }

    private static void Dispatch(PipelineAction action, IStageWork work, CancellationToken cancellationToken)
    {
        switch (action.Kind)
        {
            case ActionKind.Forward:
                work.Forward(action.MicroBatch);
                break;
            case ActionKind.BackwardInput:
                work.BackwardInput(action.MicroBatch);
                break;
            case ActionKind.BackwardWeight:
                work.BackwardWeight(action.MicroBatch);
                break;
            case ActionKind.Backward:
                work.BackwardInput(action.MicroBatch);
                work.BackwardWeight(action.MicroBatch);
                break;
            case ActionKind.ReceiveActivation:
                work.ReceiveActivation(action.MicroBatch, cancellationToken);
                break;
            case ActionKind.SendActivation:
                work.SendActivation(action.MicroBatch);
                break;
            case ActionKind.ReceiveGradient:
                work.ReceiveGradient(action.MicroBatch, cancellationToken);
                break;
            default:
                work.SendGradient(action.MicroBatch);
                break;
        }
    }
}
