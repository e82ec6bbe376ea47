namespace SplitFrozen.Pipelining;

/// <summary>The bubble of a step by formula, for trained stages of equal cost.</summary>
public static class Bubble
{
    /// <summary>
    /// Time that every stage waits in a step. GPipe and 1F1B: <c>(p − 1)(F + B + W)</c>. Zero-bubble: <c>(p − 1)(F + B − W)</c> (ZB-H1 in table 1 of arXiv 2401.10241),
    /// for at least as many micro-batches as stages and <c>W ≤ F = B</c>; with m fewer, <c>p − m</c> times W more.
    /// </summary>
    /// <param name="kind">The schedule, without a memory limit.</param>
    /// <param name="stages">Stages p.</param>
    /// <param name="microBatches">Micro-batches m.</param>
    /// <param name="cost">Cost of a micro-batch on every stage.</param>
    public static double Time(PipelineScheduleKind kind, int stages, int microBatches, StageCost cost) => kind == PipelineScheduleKind.ZeroBubble
        ? ((stages - 1) * (cost.Forward + cost.BackwardInput - cost.BackwardWeight)) + (Math.Max(0, stages - microBatches) * cost.BackwardWeight)
        : (stages - 1) * cost.Total;

    /// <summary>The bubble as a share of the step: waiting over waiting and working.</summary>
    public static double Share(PipelineScheduleKind kind, int stages, int microBatches, StageCost cost)
    {
        var time = Time(kind, stages, microBatches, cost);
        return time / (time + (microBatches * cost.Total));
    }
}
