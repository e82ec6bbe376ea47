using SplitFrozen.Models.Blocks;
using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// A device's part of the model: embeddings and the blocks <c>[0, cut)</c>, frozen. It keeps nothing for a backward pass and
/// loads only the weights it needs; token embeddings stay in the file, and only the rows of a batch are read. Not thread-safe.
/// </summary>
public sealed class FrozenEncoder : IDisposable
{
    private readonly Embedding _embedding;
    private readonly RotaryTable? _rotary;
    private readonly TransformerBlock[] _blocks;

    private FrozenEncoder(Embedding embedding, RotaryTable? rotary, TransformerBlock[] blocks, int width)
    {
        _embedding = embedding;
        _rotary = rotary;
        _blocks = blocks;
        Width = width;
    }

    /// <summary>Number of blocks it runs.</summary>
    public int Cut => _blocks.Length;

    /// <summary>Width of its result, H.</summary>
    public int Width { get; }

    /// <summary>Loads the weights. The folder must stay open while the encoder lives.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="cut">Number of blocks, 0 to L.</param>
    /// <param name="compute">Type of weights and results: Float32, or Float64 to check numbers. Int8 weights are then the numbers that they stand for.</param>
    /// <exception cref="ArgumentOutOfRangeException">The cut lies outside the model.</exception>
    /// <exception cref="ModelFormatException">A weight is missing or of another shape.</exception>
    public static FrozenEncoder Open(ModelFolder folder, int cut, ScalarType compute = ScalarType.Float32)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentOutOfRangeException.ThrowIfNegative(cut);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(cut, folder.Config.Layers);
        using var noGradient = no_grad();
        var embedding = new Embedding(folder, compute);
        var rotary = RotaryTable.For(folder.Config, compute);
        try
        {
            return new FrozenEncoder(
                embedding, rotary, BlockStack.Make(new LayerFactory(folder, compute), folder.Config, rotary, 0, cut), folder.Config.Width);
        }
        catch
        {
            embedding.Dispose();
            rotary?.Dispose();
            throw;
        }
    }

    /// <summary>Hidden states <c>[ΣT, H]</c> at the cut, of the compute type. The caller owns the tensor.</summary>
    /// <param name="packedTokens">Token ids of all sequences, one after another.</param>
    /// <param name="layout">Lengths of the sequences.</param>
    /// <param name="cut">Number of blocks to run, at most <see cref="Cut"/>; null runs all. One encoder so serves devices of different cuts.</param>
    /// <exception cref="ArgumentException">The ids do not fit the layout, the vocabulary or the positions.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The cut is not in <c>[0, Cut]</c>.</exception>
    public Tensor Encode(int[] packedTokens, SequenceLayout layout, int? cut = null)
    {
        var run = cut ?? Cut;
        ArgumentOutOfRangeException.ThrowIfNegative(run, nameof(cut));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(run, Cut, nameof(cut));
        return Run(_blocks.AsSpan(0, run), packedTokens, layout, caches: default);
    }

    /// <summary>As <see cref="Encode"/>, for one sequence's next tokens, given a cache per block.</summary>
    internal Tensor Continue(int[] packedTokens, SequenceLayout layout, ReadOnlySpan<KeyValueCache> caches) =>
        Run(_blocks, packedTokens, layout, caches);

    private Tensor Run(ReadOnlySpan<TransformerBlock> blocks, int[] packedTokens, SequenceLayout layout, ReadOnlySpan<KeyValueCache> caches)
    {
        ArgumentNullException.ThrowIfNull(packedTokens);
        ArgumentNullException.ThrowIfNull(layout);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var embedded = _embedding.Forward(packedTokens, layout);
        return BlockStack.Run(blocks, embedded, layout, caches).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Floating-point operations of <see cref="Encode"/>: two per weight of a linear layer and token, and for attention four
    /// per head element and pair of tokens that the causal mask lets through.
    /// </summary>
    public static long ForwardFlops(TransformerConfig config, int cut, IEnumerable<int> lengths)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(lengths);
        return cut * ModelFlops.BlockForward(config, lengths);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _embedding.Dispose();
        _rotary?.Dispose();
        foreach (var block in _blocks)
        {
            block.Dispose();
        }
    }
}
