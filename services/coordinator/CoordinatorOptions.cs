using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>How the samples of an epoch are put into steps.</summary>
public enum StepOrder
{
    /// <summary>By the seeded plan: the same steps whoever holds the data and however fast it arrives.</summary>
    Planned,

    /// <summary>From the samples that are ready: never waits for a slow device while others are ready.</summary>
    Available,
}

/// <summary>What the coordinator must know of a run, and its bounds.</summary>
public sealed record CoordinatorOptions
{
    /// <summary>The run; names its queues and its ledger.</summary>
    public required string RunId { get; init; }

    /// <summary>The clients to wait for before the run starts; at least one.</summary>
    public required IReadOnlyList<string> Clients { get; init; }

    /// <summary>Fingerprint of the server's base model; a device with another one is refused.</summary>
    public required string ModelFingerprint { get; init; }

    /// <summary>Frozen boundary <c>F</c>; cuts lie in <c>[0, F]</c>.</summary>
    public required int Boundary { get; init; }

    /// <summary>Hidden width <c>H</c>.</summary>
    public required int Width { get; init; }

    /// <summary>How activations travel and are cached.</summary>
    public required WireType WireType { get; init; }

    /// <summary>True when labels come one per token (language modelling), false for one per sample (classification).</summary>
    public required bool LabelsPerToken { get; init; }

    /// <summary>Exclusive upper bound of a label: the number of classes, or the vocabulary size.</summary>
    public required int LabelBound { get; init; }

    /// <summary>Longest sample in tokens.</summary>
    public required int MaximumLength { get; init; }

    /// <summary>Seed of the plan.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Epochs, at least 1.</summary>
    public required int Epochs { get; init; }

    /// <summary>Samples per optimiser step, at least 1.</summary>
    public required int BatchSize { get; init; }

    /// <summary>How steps are composed.</summary>
    public StepOrder Order { get; init; }

    /// <summary>Most bytes of one activation message; larger ones are refused.</summary>
    public int MaximumMessageBytes { get; init; } = 16 << 20;

    /// <summary>Samples per assignment.</summary>
    public int AssignmentSamples { get; init; } = 32;

    /// <summary>
    /// Number of every client's first assignment, at least 0. Each start of a run's coordinator takes numbers that no earlier one had, so that
    /// the end of an assignment which an earlier one made is never taken for the end of one of this one.
    /// </summary>
    public long FirstAssignment { get; init; }

    /// <summary>Most samples asked of one client and not yet taken in.</summary>
    public int OutstandingSamples { get; init; } = 128;

    /// <summary>
    /// Most bytes of activations asked for ahead of the trainer; about half of the cache's bound, so that what is computed
    /// ahead is not evicted before it is used. Never more than one epoch is asked for ahead.
    /// </summary>
    public long WorkAheadBytes { get; init; } = 4L << 30;

    /// <summary>Most step messages published ahead of what the trainer has handled.</summary>
    public int StepsAhead { get; init; } = 8;

    /// <summary>Most samples in one evaluation message.</summary>
    public int EvaluationSamples { get; init; } = 128;

    /// <summary>How often a sample is asked for, not counting evictions, before it counts as missing.</summary>
    public int MaximumAttempts { get; init; } = 3;

    /// <summary>How often a step is repeated because its activations were evicted before the run fails.</summary>
    public int MaximumRepeats { get; init; } = 20;

    /// <summary>Messages of one client in the coordinator's hands at once; more for clients that hold more than their part of the samples.</summary>
    public int Prefetch { get; init; } = 2;

    /// <summary>Messages validated and stored at the same time.</summary>
    public int IngestConcurrency { get; init; } = 4;

    /// <summary>
    /// How long to wait for all clients to register, and how long a run that stands still waits for clients that are away; null waits for ever.
    /// </summary>
    public TimeSpan? ClientDeadline { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Whether the run goes on without samples that are missing; otherwise it stops.</summary>
    public bool CompleteWithoutMissing { get; init; }

    /// <summary>
    /// How long a client's queue must have been empty, after it reported an assignment as finished, before samples of it
    /// that have not arrived are asked again.
    /// </summary>
    public TimeSpan RepeatAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long nothing may come from a client before it is told again what it was asked for. A device that is still at it lets that pass.</summary>
    public TimeSpan RemindAfter { get; init; } = TimeSpan.FromSeconds(30);
}
