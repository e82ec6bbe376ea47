using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Blocks;

/// <summary>A contiguous slice of a model's blocks that runs without keeping anything for a backward pass.</summary>
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
    internal static Tensor Run(ReadOnlySpan<TransformerBlock> blocks, Tensor x, SequenceLayout layout)
    {
        var context = new BlockContext(layout, Dropout: null, RowsAfterAttention: null);
        var current = x.alias();
        foreach (var block in blocks)
        {
            var next = block.Forward(current, context, tape: null);
            current.Dispose();
            current = next;
        }

        return current;
    }
}
