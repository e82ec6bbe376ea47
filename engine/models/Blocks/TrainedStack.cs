using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Blocks;

/// <summary>
/// A contiguous slice of a model's blocks with something to train: forward with a tape a block, and the B half of the backward
/// pass. It owns the blocks.
/// </summary>
/// <param name="blocks">The blocks, lowest first; there may be none.</param>
/// <param name="needInput">Whether a backward pass gives the gradient of the stack's input, for what trains below it.</param>
internal sealed class TrainedStack(TransformerBlock[] blocks, bool needInput) : IDisposable
{
    // Below the lowest block with something to train no gradient is needed, so nothing is saved and nothing computed.
    private readonly int _lowest = needInput ? 0 : Array.FindIndex(blocks, block => block.Trains) is var first and >= 0 ? first : blocks.Length;

    /// <summary>Number of blocks.</summary>
    internal int Count => blocks.Length;

    /// <summary>The blocks, lowest first.</summary>
    internal ReadOnlySpan<TransformerBlock> Blocks => blocks;

    /// <summary>Whether a backward pass has to come down here at all.</summary>
    internal bool NeedsGradient => needInput || _lowest < blocks.Length;

    /// <summary>Runs the blocks and frees x; rows that the context chooses are chosen in the last block.</summary>
    /// <param name="x">Hidden states <c>[ΣT, H]</c>; taken over.</param>
    /// <param name="context">How the rows lie, dropout, and the chosen rows.</param>
    /// <param name="tapes">Gets a tape for every block, to be disposed by its owner; null saves nothing.</param>
    internal Tensor Forward(Tensor x, BlockContext context, List<Tape>? tapes)
    {
        if (blocks.Length == 0)
        {
            return context.RowsAfterAttention is null ? x : x.index_select(0, context.RowsAfterAttention);
        }

        for (var i = 0; i < blocks.Length; i++)
        {
            Tape? tape = null;
            if (tapes is not null)
            {
                tape = new Tape();
                tapes.Add(tape);
            }

            var next = blocks[i].Forward(x, ContextOf(i, context), i >= _lowest ? tape : null);
            x.Dispose();
            x = next;
        }

        return x;
    }

    /// <summary>
    /// Brings the gradient of the output down, and frees it and the tapes on the way; gradients of weights are put off.
    /// </summary>
    /// <returns>The gradient of the input <c>[ΣT, H]</c>, or null where none is needed.</returns>
    internal Tensor? Backward(Tensor gradient, BlockContext context, IReadOnlyList<Tape> tapes, WeightGradients deferred)
    {
        if (blocks.Length == 0)
        {
            return TransformerBlock.SpreadRows(gradient, context);
        }

        Tensor? current = gradient;
        for (var i = blocks.Length - 1; i >= _lowest; i--)
        {
            var next = blocks[i].Backward(current!, ContextOf(i, context), tapes[i], deferred, needInput || i > _lowest);
            current!.Dispose();
            tapes[i].Dispose();
            current = next;
        }

        return current;
    }

    public void Dispose()
    {
        foreach (var block in blocks)
        {
            block.Dispose();
        }
    }

    private BlockContext ContextOf(int block, BlockContext context) =>
        block == blocks.Length - 1 ? context : context with { RowsAfterAttention = null };
}
