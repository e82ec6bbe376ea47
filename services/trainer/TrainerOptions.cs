using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Trainer;

/// <summary>What a trainer must know of a run, and its bounds.</summary>
public sealed record TrainerOptions
{
    /// <summary>The run.</summary>
    public required string RunId { get; init; }

    /// <summary>The resolved spec: adapter, optimisation, seed, boundary, wire type.</summary>
    public required RunSpec Spec { get; init; }

    /// <summary>The task: head and metrics follow from it.</summary>
    public required ITask Task { get; init; }

    /// <summary>Lowest cut of any client; the trainer holds the blocks from here up.</summary>
    public required int LowestCut { get; init; }

    /// <summary>Folder of the checkpoint and of <c>steps.jsonl</c>; made when it is not there.</summary>
    public required string Folder { get; init; }

    /// <summary>Most bytes of activations fetched and decoded ahead of the step in hand; one step is always admitted.</summary>
    public long PrefetchBytes { get; init; } = 256L << 20;

    /// <summary>The model that the run asks for, in the engine's terms.</summary>
    public UpperModelOptions ModelOptions => RunModel.Options(Spec, Task.Classes) with { LowestCut = LowestCut };

    /// <summary>Seed of the run, in the engine's terms.</summary>
    public ulong Seed => RunModel.Seed(Spec);

    /// <summary>Most step messages held without acknowledgement; a checkpoint is written when they reach it.</summary>
    public int UnacknowledgedSteps { get; init; } = 512;
}
