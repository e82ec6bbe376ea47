namespace SplitFrozen.Comparison.Study;

/// <summary>What a study compares.</summary>
public sealed record StudyOptions
{
    /// <summary>The methods, at least one.</summary>
    public required IReadOnlyList<MethodKind> Methods { get; init; }

    /// <summary>How the data is dealt, at least one way.</summary>
    public required IReadOnlyList<PartitionChoice> Partitions { get; init; }

    /// <summary>Seeds of partition, plan, adapters and head; at least one.</summary>
    public required IReadOnlyList<long> Seeds { get; init; }

    /// <summary>Peak learning rates to choose from, the same for every method; a single one is taken as it is.</summary>
    public required IReadOnlyList<double> LearningRates { get; init; }

    /// <summary>Seed of the search; none of <see cref="Seeds"/>, so that no choice is made on a run that is reported.</summary>
    public long SearchSeed { get; init; }

    /// <summary>Share of the training rows that the search measures on instead of training on them, in (0, 1).</summary>
    public double SearchShare { get; init; } = 0.2;

    /// <summary>SplitLoRA: server steps between two averagings.</summary>
    public int AveragingInterval { get; init; } = 100;

    /// <summary>FedLoRA: epochs that a client trains between two aggregations.</summary>
    public int LocalEpochs { get; init; } = 1;
}
