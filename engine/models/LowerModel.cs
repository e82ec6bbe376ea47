using SplitFrozen.Models.Blocks;
using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// Embeddings and the blocks <c>[0, cut)</c> with adapters that train: a client's part in split learning, where gradients come
/// back from the server. The embeddings and the base weights stay frozen. A device of this system does not have it: it holds a
/// <see cref="FrozenEncoder"/>. Not thread-safe.
/// </summary>
public sealed class LowerModel : IDisposable
{
    private readonly LoraConfig _lora;
    private readonly ScalarType _compute;
    private readonly ParameterStore _store;
    private readonly RotaryTable? _rotary;
    private readonly Embedding _embedding;
    private readonly TrainedStack _blocks;

    private LowerModel(ModelFolder folder, int cut, LoraConfig lora, ulong seed, ScalarType compute, List<IDisposable> made)
    {
        _lora = lora;
        _compute = compute;
        Config = folder.Config;
        _store = new ParameterStore(compute);
        made.Add(_store);
        _rotary = RotaryTable.For(folder.Config, compute);
        if (_rotary is not null)
        {
            made.Add(_rotary);
        }

        _embedding = new Embedding(folder, compute);
        made.Add(_embedding);
        var layers = new LayerFactory(folder, compute) { Store = _store, Lora = lora, Seed = seed };
        _blocks = new TrainedStack(BlockStack.Make(layers, folder.Config, _rotary, 0, cut), needInput: false);
        made.Add(_blocks);
        _store.Seal();
    }

    /// <summary>Number of blocks.</summary>
    public int Cut => _blocks.Count;

    /// <summary>Sizes and constants of the model.</summary>
    public TransformerConfig Config { get; }

    /// <summary>The adapters by block, A before B, with the names that they have in an <see cref="UpperModel"/> over all blocks.</summary>
    public IReadOnlyList<Parameter> Parameters => _store.Parameters;

    /// <summary>All parameters as one flat tensor <c>[n]</c>; see <see cref="UpperModel.FlatValues"/>.</summary>
    public Tensor FlatValues => _store.Values!;

    /// <summary>All gradients as one flat tensor <c>[n]</c>; see <see cref="UpperModel.FlatGradients"/>.</summary>
    public Tensor FlatGradients => _store.Gradients!;

    /// <summary>Makes the gradient of every parameter null.</summary>
    public void ClearGradients() => _store.ClearGradients();

    /// <summary>Loads the weights and makes the adapters. The folder must stay open while the model lives.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="cut">Number of blocks, 1 to L.</param>
    /// <param name="lora">The adapters; at least one target must name a layer.</param>
    /// <param name="seed">Seed of the adapters' initial values; the same seed gives those of an <see cref="UpperModel"/>.</param>
    /// <param name="compute">Type of weights, gradients and results: Float32, or Float64 to check numbers.</param>
    /// <exception cref="ArgumentException">The cut or an option of the adapters is impossible; the message names it.</exception>
    /// <exception cref="ModelFormatException">A weight is missing or of another shape.</exception>
    public static LowerModel Open(ModelFolder folder, int cut, LoraConfig lora, ulong seed, ScalarType compute = ScalarType.Float32)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(lora);
        ArgumentOutOfRangeException.ThrowIfLessThan(cut, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(cut, folder.Config.Layers);
        UpperModelOptions.ValidateLora(lora, folder.Config.Family);
        var made = new List<IDisposable>();
        try
        {
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            return new LowerModel(folder, cut, lora, seed, compute, made);
        }
        catch
        {
            made.ForEach(item => item.Dispose());
            throw;
        }
    }

    /// <summary>Runs the blocks; in training, also saves what <see cref="LowerPass.Backward"/> needs.</summary>
    /// <param name="packedTokens">Token ids of all sequences, one after another.</param>
    /// <param name="layout">Lengths of the sequences; must live as long as the pass.</param>
    /// <param name="dropoutSeed">Seed of the adapters' dropout; the same seed draws the same masks.</param>
    /// <param name="training">Whether dropout applies and a backward pass will follow.</param>
    /// <exception cref="ArgumentException">The ids do not fit the layout, the vocabulary or the positions.</exception>
    public LowerPass Forward(int[] packedTokens, SequenceLayout layout, ulong dropoutSeed, bool training)
    {
        ArgumentNullException.ThrowIfNull(packedTokens);
        ArgumentNullException.ThrowIfNull(layout);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var context = new BlockContext(layout, Dropout.For(_lora, dropoutSeed, training), RowsAfterAttention: null);
        var tapes = training ? new List<Tape>() : null;
        try
        {
            var hidden = _blocks.Forward(_embedding.Forward(packedTokens, layout), context, tapes);
            return new LowerPass(this, hidden.DetachFromDisposeScope(), context, tapes ?? []);
        }
        catch
        {
            tapes?.ForEach(tape => tape.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _blocks.Dispose();
        _embedding.Dispose();
        _rotary?.Dispose();
        _store.Dispose();
    }

    /// <summary>The backward pass; called once by the pass.</summary>
    internal void Backward(LowerPass pass, Tensor gradient, WeightGradients deferred)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        _ = _blocks.Backward(gradient.to(_compute, copy: true).contiguous(), pass.Context, pass.Tapes, deferred);
    }
}

/// <summary>One pass through a <see cref="LowerModel"/>, with what its backward pass needs until that has run. Dispose it.</summary>
public sealed class LowerPass : IDisposable
{
    private readonly LowerModel _model;
    private bool _ready;

    internal LowerPass(LowerModel model, Tensor hidden, BlockContext context, IReadOnlyList<Tape> tapes)
    {
        _model = model;
        _ready = tapes.Count > 0;
        Hidden = hidden;
        Context = context;
        Tapes = tapes;
    }

    /// <summary>Hidden states <c>[ΣT, H]</c> at the cut; lives as long as the pass.</summary>
    public Tensor Hidden { get; }

    internal BlockContext Context { get; }

    internal IReadOnlyList<Tape> Tapes { get; }

    /// <summary>The backward pass from the gradient of <see cref="Hidden"/>; gradients of the adapters are put off.</summary>
    /// <param name="gradient">Gradient <c>[ΣT, H]</c>; stays the caller's.</param>
    /// <param name="deferred">Where the W half is put off.</param>
    /// <exception cref="ArgumentException">The gradient has another shape than the hidden states.</exception>
    /// <exception cref="InvalidOperationException">The pass was not for training, or its backward pass has run.</exception>
    public void Backward(Tensor gradient, WeightGradients deferred)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        ArgumentNullException.ThrowIfNull(deferred);
        if (!gradient.shape.AsSpan().SequenceEqual(Hidden.shape))
        {
            throw new ArgumentException($"The gradient has shape [{string.Join(", ", gradient.shape)}], the hidden states [{string.Join(", ", Hidden.shape)}].", nameof(gradient));
        }

        if (!_ready)
        {
            throw new InvalidOperationException("A pass runs backward once, and only if it was made with training: true.");
        }

        _ready = false;
        _model.Backward(this, gradient, deferred);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ready = false;
        foreach (var tape in Tapes)
        {
            tape.Dispose();
        }

        Hidden.Dispose();
    }
}
