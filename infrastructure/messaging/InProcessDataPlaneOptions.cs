using System.ComponentModel.DataAnnotations;

namespace SplitFrozen.Messaging;

/// <summary>Bounds of the in-process data plane.</summary>
public sealed record InProcessDataPlaneOptions
{
    /// <summary>Most body bytes in one client's queue, those in the coordinator's hands included.</summary>
    [Range(1, long.MaxValue)]
    public long MaximumQueueBytes { get; init; } = 16L << 20;

    /// <summary>Most step messages that wait for the trainer; those in its hands do not count, since it settles them only at a checkpoint.</summary>
    [Range(1, int.MaxValue)]
    public int MaximumWaitingSteps { get; init; } = 64;

    /// <summary>Most dead letters kept; the oldest goes first.</summary>
    [Range(0, int.MaxValue)]
    public int MaximumDeadLetters { get; init; } = 100;

    /// <summary>Most body bytes of dead letters kept; the oldest goes first.</summary>
    [Range(0, long.MaxValue)]
    public long MaximumDeadLetterBytes { get; init; } = 32L << 20;
}
