using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Blocks;

/// <summary>
/// A contiguous slice of a model's blocks that runs without keeping anything for a backward pass. Whole sequences get the same
/// bits whatever they are computed beside: what a device sends does not depend on who else's samples it holds.
/// </summary>
internal static class BlockStack
{
    /// <summary>Makes the blocks <c>[from, to)</c>.</summary>
    internal static TransformerBlock[] Make(LayerFactory layers, TransformerConfig config, RotaryTable? rotary, int from, int to)
    {
        var blocks = new List<TransformerBlock>();
        try
        {
            for (var index = from; index < to; index++)
            {
                blocks.Add(config.Family == ModelFamily.Gpt2 ? new Gpt2Block(layers, config, index) : new LlamaBlock(layers, config, rotary!, index));
            }

            return [.. blocks];
        }
        catch
        {
            blocks.ForEach(block => block.Dispose());
            throw;
        }
    }

    /// <summary>Runs frozen blocks; the result is a new tensor, or a new handle of x where there are no blocks.</summary>
    /// <param name="blocks">The blocks, lowest first.</param>
    /// <param name="x">Hidden states <c>[ΣT, H]</c>.</param>
    /// <param name="layout">Lengths of the sequences.</param>
    /// <param name="caches">One cache per block to continue a single sequence, or none for whole sequences.</param>
    internal static Tensor Run(
        ReadOnlySpan<TransformerBlock> blocks, Tensor x, SequenceLayout layout, ReadOnlySpan<KeyValueCache> caches = default)
    {
        var context = new BlockContext(layout, Dropout: null, RowsAfterAttention: null) { InTiles = caches.IsEmpty };
        var current = x.alias();
        for (var i = 0; i < blocks.Length; i++)
        {
            var next = blocks[i].Forward(current, caches.IsEmpty ? context : context with { Cache = caches[i] }, tape: null);
            current.Dispose();
            current = next;
        }

        return current;
    }
}
