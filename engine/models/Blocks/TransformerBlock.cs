using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Blocks;

/// <summary>What the forward pass of a block is given besides its input.</summary>
/// <param name="Layout">How sequences lie in the rows.</param>
/// <param name="Dropout">Masks for adapters, or null.</param>
/// <param name="RowsAfterAttention">Rows to go on with after the attention, i64 <c>[n]</c>, or null for all: the last block need
/// not compute rows that no label asks for.</param>
internal sealed record BlockContext(SequenceLayout Layout, Dropout? Dropout, Tensor? RowsAfterAttention)
{
    /// <summary>What the block keeps of the one sequence that is being continued, or null for whole sequences.</summary>
    internal KeyValueCache? Cache { get; init; }

    /// <summary>
    /// Whether linear layers work in tiles of one shape: a sequence's hidden states are then the same bits beside whichever
    /// others it is computed.
    /// </summary>
    internal bool InTiles { get; init; }
}

/// <summary>One transformer block over packed rows <c>[ΣT, H]</c>, with its backward pass in two halves.</summary>
internal abstract class TransformerBlock : IDisposable
{
    /// <summary>Whether anything in the block gets a gradient.</summary>
    internal abstract bool Trains { get; }

    /// <summary>The block's output, <c>[ΣT, H]</c> or <c>[n, H]</c> where the context chooses rows.</summary>
    internal abstract Tensor Forward(Tensor x, BlockContext context, Tape? tape);

    /// <summary>
    /// The gradient of the input, or null where it is not needed; gradients of weights are put off. Where no input gradient is
    /// needed, nothing below the lowest trainable layer is computed.
    /// </summary>
    internal abstract Tensor? Backward(Tensor dy, BlockContext context, Tape tape, WeightGradients deferred, bool needInput);

    public abstract void Dispose();

    /// <summary>Gradient <c>[n, H]</c> of chosen rows spread over all rows <c>[ΣT, H]</c>.</summary>
    internal static Tensor SpreadRows(Tensor gradient, BlockContext context) => context.RowsAfterAttention is null
        ? gradient
        : zeros([context.Layout.Tokens, gradient.shape[1]], gradient.dtype).index_copy_(0, context.RowsAfterAttention, gradient);

    /// <summary>The chosen rows, or all.</summary>
    protected static Tensor ChooseRows(Tensor rows, BlockContext context) =>
        context.RowsAfterAttention is null ? rows : rows.index_select(0, context.RowsAfterAttention);
}
