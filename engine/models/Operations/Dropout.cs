using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// Masks for the adapters' dropout. Every adapter draws from its own generator, seeded by the pass's seed and the adapter's name, so a
/// resumed step draws the same masks, and so does a stage that holds some of the blocks.
/// </summary>
internal sealed class Dropout(ulong seed, double probability)
{
    /// <summary>A mask of x's shape: 0 with the given probability, else 1 / (1 − probability).</summary>
    internal Tensor Mask(Tensor x, string adapter)
    {
        var layerSeed = SeededRandom.ForStream(seed, $"dropout {adapter}").NextUInt64();
        using var generator = new Generator(layerSeed);
        return empty_like(x).bernoulli_(1 - probability, generator).DivideInPlace(1 - probability);
    }

    /// <summary>The masks of one pass, or null where nothing is dropped.</summary>
    internal static Dropout? For(LoraConfig? lora, ulong seed, bool training) =>
        training && lora is { Dropout: > 0 } ? new Dropout(seed, lora.Dropout) : null;
}
