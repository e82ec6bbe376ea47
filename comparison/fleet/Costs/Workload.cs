using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Costs;

/// <summary>What a sample costs depends on no more than this.</summary>
/// <param name="Tokens">Length in tokens, at least 1.</param>
/// <param name="CountedLabels">Labels that enter the loss: 1 for classification, else the tokens with a target.</param>
public readonly record struct SampleSize(int Tokens, int CountedLabels);

/// <summary>One fine-tuning job, the same for every method that is compared: model, adapters, who holds which samples, and for how long.</summary>
public sealed record Workload
{
    /// <summary>Sizes of the base model.</summary>
    public required TransformerConfig Model { get; init; }

    /// <summary>The adapters. Every method adapts the same layers, in the blocks that it trains.</summary>
    public required LoraConfig Lora { get; init; }

    /// <summary>What is predicted.</summary>
    public required HeadKind Head { get; init; }

    /// <summary>Classes of a classification head; unused for language modelling.</summary>
    public int Classes { get; init; } = 2;

    /// <summary>Training samples of each client.</summary>
    public required IReadOnlyList<IReadOnlyList<SampleSize>> Clients { get; init; }

    /// <summary>Samples per optimiser step.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Passes over the data, at least 1; for FedLoRA also the number of rounds.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Frozen boundary F of SplitFrozen, and the cut of SplitLoRA's clients.</summary>
    public required int Boundary { get; init; }

    /// <summary>SplitFrozen's cut of each client, each at most the boundary; empty means that all cut at the boundary.</summary>
    public IReadOnlyList<int> Cuts { get; init; } = [];

    /// <summary>How activations travel, and the gradients that SplitLoRA sends back.</summary>
    public WireType WireType { get; init; } = WireType.Float16;

    /// <summary>Local steps between two averagings of SplitLoRA's client adapters.</summary>
    public int AveragingSteps { get; init; } = 10;

    /// <summary>Most samples in one of SplitFrozen's messages.</summary>
    public int MessageSamples { get; init; } = 32;

    /// <summary>SplitFrozen's messages are closed before they grow beyond this many bytes of hidden states.</summary>
    public int MessageBytes { get; init; } = 1 << 20;

    /// <summary>Samples of one frozen forward on a device, which bounds its transient memory.</summary>
    public int DeviceMicroBatch { get; init; } = 16;

    /// <summary>SplitFrozen's cut of a client.</summary>
    public int Cut(int client) => Cuts.Count == 0 ? Boundary : Cuts[client];

    /// <summary>A client's samples in batches of <see cref="BatchSize"/>, as one local epoch goes through them.</summary>
    public IEnumerable<SampleSize[]> LocalBatches(int client) => Clients[client].Chunk(BatchSize);

    /// <summary>Checks what the types leave open.</summary>
    /// <exception cref="ArgumentException">A size, the boundary or a cut is impossible.</exception>
    internal Workload Validated()
    {
        Require(
            Clients.Count > 0 && Clients.All(samples => samples.All(size => size.Tokens >= 1 && size.CountedLabels >= 0)),
            nameof(Clients), "there is at least one client, and every sample has a token");
        Require(
            Math.Min(Epochs, BatchSize) >= 1 && Math.Min(AveragingSteps, MessageSamples) >= 1 && DeviceMicroBatch >= 1,
            nameof(BatchSize), "epochs, batch, averaging steps, samples of a message and micro-batch are at least 1");
        Require(Boundary >= 0 && Boundary < Model.Layers, nameof(Boundary), "the boundary leaves a block to train");
        Require(
            Cuts.Count == 0 || (Cuts.Count == Clients.Count && Cuts.All(cut => cut >= 0 && cut <= Boundary)),
            nameof(Cuts), "every client has a cut, from 0 to the boundary");
        return this;
    }

    private static void Require(bool holds, string property, string rule)
    {
        if (!holds)
        {
            throw new ArgumentException($"The workload is impossible: {rule}.", property);
        }
    }
}
