namespace SplitFrozen.Training.Checkpoints;

/// <summary>Where a run stands, saved together with what it has learnt so that the two can never disagree.</summary>
public sealed record TrainingPosition
{
    /// <summary>Optimiser steps applied.</summary>
    public required long Step { get; init; }

    /// <summary>Sequence number of the next step message to apply.</summary>
    public long NextSequence { get; init; }

    /// <summary>The epoch that <see cref="AppliedSamples"/> is about, counted from 0.</summary>
    public int Epoch { get; init; }

    /// <summary>Epoch number of the writer that holds the run (its fence); a writer with a lower one must not write.</summary>
    public long Fence { get; init; }

    /// <summary>Hash of everything that decides the run; a checkpoint of another run is refused.</summary>
    public required string SpecificationHash { get; init; }

    /// <summary>Ids of the samples that were trained on in the current epoch, in order.</summary>
    public IReadOnlyList<long> AppliedSamples { get; init; } = [];

    /// <summary>Text that the caller keeps with the position, for example its metrics so far as JSON.</summary>
    public string Notes { get; init; } = "";
}
