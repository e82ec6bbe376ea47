namespace SplitFrozen.Pipelining;

/// <summary>How forward and backward of a step's micro-batches are interleaved over the stages.</summary>
public enum PipelineScheduleKind
{
    /// <summary>GPipe (arXiv 1811.06965): all forwards, then all backwards.</summary>
    GPipe,

    /// <summary>1F1B (PipeDream-Flush, arXiv 2006.09503): backwards as early as they can, so that fewer micro-batches are in flight.</summary>
    OneForwardOneBackward,

    /// <summary>ZB-H1 (arXiv 2401.10241): 1F1B with B and W apart; a stage puts W off to where it would wait, with no more in flight than 1F1B's first stage.</summary>
    ZeroBubble,
}

/// <summary>What to make a schedule for.</summary>
/// <param name="Kind">The schedule.</param>
/// <param name="Stages">Stages that train, at least 1.</param>
/// <param name="MicroBatches">Micro-batches of a step, at least 1.</param>
public sealed record ScheduleRequest(PipelineScheduleKind Kind, int Stages, int MicroBatches)
{
    /// <summary>Stages before the trained ones that run forward only and keep nothing: live devices.</summary>
    public int ForwardStages { get; init; }

    /// <summary>Most micro-batches that a trained stage may hold between F and W, at least 1; null for as many as the schedule wants.</summary>
    public int? MemoryLimit { get; init; }
}

/// <summary>For every stage its actions in their order, for one optimiser step.</summary>
/// <param name="Request">What it was made for.</param>
/// <param name="Stages">Actions, <c>[ForwardStages + Stages]</c>; the stage that holds the first blocks comes first.</param>
public sealed record PipelineSchedule(ScheduleRequest Request, IReadOnlyList<IReadOnlyList<PipelineAction>> Stages)
{
    /// <summary>Makes a schedule: a pure function of the request.</summary>
    /// <exception cref="ArgumentException">The request is impossible, or its schedule does not fit into the memory limit.</exception>
    public static PipelineSchedule Create(ScheduleRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (Fault(request) is { } fault)
        {
            throw new ArgumentException($"The schedule is impossible: {fault}.", nameof(request));
        }

        var stages = Enumerable.Range(0, request.ForwardStages).Select(_ => Forwards(0, request.MicroBatches))
            .Concat(Enumerable.Range(0, request.Stages).Select(stage => Trained(request, stage)));
        return new PipelineSchedule(request, [.. stages.Select(actions => actions.ToArray())]);
    }

    /// <summary>A kind by its name, <c>gpipe</c>, <c>1f1b</c> or <c>zb</c>; null for any other.</summary>
    public static PipelineScheduleKind? FindKind(string name) => name switch
    {
        "gpipe" => PipelineScheduleKind.GPipe,
        "1f1b" => PipelineScheduleKind.OneForwardOneBackward,
        "zb" => PipelineScheduleKind.ZeroBubble,
        _ => null,
    };

    /// <summary>The name that <see cref="FindKind"/> knows a kind by.</summary>
    public static string NameOf(PipelineScheduleKind kind) => kind switch
    {
        PipelineScheduleKind.GPipe => "gpipe",
        PipelineScheduleKind.OneForwardOneBackward => "1f1b",
        _ => "zb",
    };

    /// <summary>A schedule of forwards alone, for an evaluation.</summary>
    /// <param name="stages">Stages, at least 1.</param>
    /// <param name="microBatches">Micro-batches, at least 1.</param>
    public static PipelineSchedule ForwardOnly(int stages, int microBatches)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(stages, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(microBatches, 1);
        var request = new ScheduleRequest(PipelineScheduleKind.GPipe, 1, microBatches) { ForwardStages = stages - 1 };
        return new PipelineSchedule(request, [.. Enumerable.Range(0, stages).Select(_ => Forwards(0, microBatches).ToArray())]);
    }

    /// <summary>Most micro-batches that a stage holds at a time between F and W.</summary>
    public int MostInFlight(int stage)
    {
        var (held, most) = (0, 0);
        foreach (var action in stage < Request.ForwardStages ? [] : Stages[stage])
        {
            held += action.Kind switch
            {
                ActionKind.Forward => 1,
                ActionKind.BackwardWeight or ActionKind.Backward => -1,
                _ => 0,
            };
            most = Math.Max(most, held);
        }

        return most;
    }

    /// <summary>One line a stage.</summary>
    public override string ToString() => string.Join('\n', Stages.Select(actions => string.Join(' ', actions)));

    private static IEnumerable<PipelineAction> Trained(ScheduleRequest request, int stage) => request.Kind switch
    {
        PipelineScheduleKind.GPipe => Forwards(0, request.MicroBatches)
            .Concat(Enumerable.Range(0, request.MicroBatches).Select(batch => new PipelineAction(ActionKind.Backward, batch))),
        PipelineScheduleKind.OneForwardOneBackward => Interleaved(request, Ahead(request, stage), putOff: null),
        _ => Interleaved(request, Ahead(request, stage), Math.Min(stage, (request.MemoryLimit ?? int.MaxValue) - Ahead(request, stage))),
    };

    /// <summary>Forwards before the first backward: as many as it takes until the last stage sends a gradient back.</summary>
    private static int Ahead(ScheduleRequest request, int stage) =>
        Math.Min(Math.Min(request.MicroBatches, request.Stages - stage), request.MemoryLimit ?? int.MaxValue);

    /// <summary>
    /// After its forwards ahead, a stage goes backward and forward in turn. With B and W apart, stage i does W for the micro-batch of i rounds
    /// before: the later a stage gets its first gradient, the fewer W it needs to fill the wait at its end.
    /// </summary>
    private static IEnumerable<PipelineAction> Interleaved(ScheduleRequest request, int ahead, int? putOff)
    {
        foreach (var action in Forwards(0, ahead))
        {
            yield return action;
        }

        for (var batch = 0; batch < request.MicroBatches; batch++)
        {
            yield return new PipelineAction(putOff is null ? ActionKind.Backward : ActionKind.BackwardInput, batch);
            if (putOff is { } rounds && batch >= rounds)
            {
                yield return new PipelineAction(ActionKind.BackwardWeight, batch - rounds);
            }

            if (batch + ahead < request.MicroBatches)
            {
                yield return new PipelineAction(ActionKind.Forward, batch + ahead);
            }
        }

        for (var left = Math.Min(putOff ?? 0, request.MicroBatches); left > 0; left--)
        {
            yield return new PipelineAction(ActionKind.BackwardWeight, request.MicroBatches - left);
        }
    }

    private static IEnumerable<PipelineAction> Forwards(int first, int count) => Enumerable.Range(first, count).Select(batch => new PipelineAction(ActionKind.Forward, batch));

    private static string? Fault(ScheduleRequest request) => request switch
    {
        { Stages: < 1 } => $"{request.Stages} stages; at least 1 is needed",
        { ForwardStages: < 0 } => $"{request.ForwardStages} forward stages; at least 0 are possible",
        { MicroBatches: < 1 } => $"{request.MicroBatches} micro-batches; at least 1 is needed",
        { MemoryLimit: < 1 } => $"a memory limit of {request.MemoryLimit} micro-batches; at least 1 is needed",
        { Kind: PipelineScheduleKind.GPipe } when request.MicroBatches > (request.MemoryLimit ?? int.MaxValue) =>
            $"GPipe holds all {request.MicroBatches} micro-batches, and the memory limit is {request.MemoryLimit}; take fewer micro-batches or another schedule",
        _ => null,
    };
}
