using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Models.Blocks;
using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// The server's part of the model: the blocks <c>[LowestCut, L)</c>, the final norm and the head. Blocks below the boundary F
/// are frozen and bring the samples of devices with a lower cut up to F (catch-up); those above it train. Or a stage of it, which ends
/// below the head (<see cref="UpperModelOptions.End"/>). Not thread-safe.
/// </summary>
public sealed class UpperModel : IDisposable
{
    private readonly UpperModelOptions _options;
    private readonly TransformerConfig _config;
    private readonly RotaryTable? _rotary;
    private readonly ParameterStore _store;
    private readonly Embedding? _embedding;
    private readonly TransformerBlock[] _frozen;
    private readonly TrainedStack _trained;
    private readonly Top? _top;
    private readonly IReadOnlyList<LinearLayer> _adapted;

    private UpperModel(ModelFolder folder, UpperModelOptions options, List<IDisposable> made)
    {
        T Own<T>(T item)
            where T : IDisposable
        {
            made.Add(item);
            return item;
        }

        _options = options;
        _config = folder.Config;
        _store = Own(new ParameterStore(options.Compute));
        if (RotaryTable.For(_config, options.Compute) is { } rotary)
        {
            _rotary = Own(rotary);
        }

        var frozen = new LayerFactory(folder, options.Compute);
        var trained = new LayerFactory(folder, options.Compute)
        {
            Store = _store,
            Lora = options.Lora,
            TrainAllWeights = options.TrainAllWeights,
            Seed = options.Seed,
        };
        _embedding = options.TrainAllWeights ? Own(new Embedding(folder, options.Compute, _store)) : null;
        _frozen = BlockStack.Make(frozen, _config, _rotary, options.LowestCut, options.Boundary);
        made.AddRange(_frozen);
        _trained = Own(new TrainedStack(
            BlockStack.Make(trained, _config, _rotary, options.Boundary, options.End ?? _config.Layers), needInput: options.GradientAtBoundary || options.TrainAllWeights));
        _adapted = trained.Adapted;
        if ((options.End ?? _config.Layers) == _config.Layers)
        {
            var norm = Own(trained.Norm(_config.Family == ModelFamily.Gpt2 ? "ln_f" : "norm"));
            _top = new Top(norm, Own(new OutputHead(HeadWeight(folder, trained), keepLogits: options.Head == HeadKind.Classification)));
        }

        _store.Seal();
    }

    /// <summary>The options it was opened with.</summary>
    public UpperModelOptions Options => _options;

    /// <summary>Sizes and constants of the model.</summary>
    public TransformerConfig Config => _config;

    /// <summary>What trains, in a fixed order: adapters by block (A before B), then <c>score.weight</c> for classification.</summary>
    public IReadOnlyList<Parameter> Parameters => _store.Parameters;

    /// <summary>
    /// All parameters as one flat tensor <c>[n]</c>; every <see cref="Parameter.Value"/> is a view of it. Between parameters there
    /// may be gaps, which stay zero.
    /// </summary>
    public Tensor FlatValues => _store.Values!;

    /// <summary>
    /// All gradients as one flat tensor <c>[n]</c> in the layout of <see cref="FlatValues"/>; meaningful only where
    /// <see cref="Parameter.Gradient"/> is not null.
    /// </summary>
    public Tensor FlatGradients => _store.Gradients!;

    /// <summary>Makes the gradient of every parameter null.</summary>
    public void ClearGradients() => _store.ClearGradients();

    /// <summary>Loads the weights and makes adapters and head.</summary>
    /// <exception cref="ArgumentException">An option is impossible for this model; the message names it.</exception>
    /// <exception cref="ModelFormatException">A weight is missing or of another shape.</exception>
    public static UpperModel Open(ModelFolder folder, UpperModelOptions options)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate(folder.Config);
        var made = new List<IDisposable>();
        try
        {
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            return new UpperModel(folder, options, made);
        }
        catch
        {
            made.ForEach(item => item.Dispose());
            throw;
        }
    }

    /// <summary>Runs the frozen blocks <c>[fromCut, F)</c>: hidden states <c>[ΣT, H]</c> at the cut to those at F. The caller owns the result.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The cut is not between the lowest cut and the boundary.</exception>
    public Tensor CatchUp(Tensor hidden, SequenceLayout layout, int fromCut)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(fromCut, _options.LowestCut);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fromCut, _options.Boundary);
        CheckHidden(hidden, layout);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var blocks = _frozen.AsSpan(fromCut - _options.LowestCut);
        return BlockStack.Run(blocks, Own(hidden), layout).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Computes loss and correct predictions, or the hidden states at the end of a stage without a head; in training, also saves what the
    /// backward pass needs.
    /// </summary>
    /// <param name="hidden">Hidden states <c>[ΣT, H]</c> at the boundary F; not kept beyond the pass.</param>
    /// <param name="layout">Lengths of the sequences; must live as long as the pass.</param>
    /// <param name="labels">One class per sequence, or for every token the id that should follow it, −100 where it does not count. Not looked at without a head.</param>
    /// <param name="dropoutSeed">Seed of the adapters' dropout; the same seed draws the same masks.</param>
    /// <param name="training">Whether dropout applies and a backward pass will follow.</param>
    /// <exception cref="ArgumentException">Shapes do not fit each other, or a label is out of range.</exception>
    public ForwardPass Forward(Tensor hidden, SequenceLayout layout, int[] labels, ulong dropoutSeed, bool training)
    {
        CheckHidden(hidden, layout);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return Pass(Own(hidden), layout, labels, dropoutSeed, training, packedTokens: null);
    }

    /// <summary>As <see cref="Forward"/>, from token ids through embeddings that train; only with <see cref="UpperModelOptions.TrainAllWeights"/>.</summary>
    /// <exception cref="InvalidOperationException">The model was not opened to train all weights.</exception>
    /// <exception cref="ArgumentException">Ids, labels and layout do not fit each other or the model.</exception>
    public ForwardPass ForwardTokens(int[] packedTokens, SequenceLayout layout, int[] labels, bool training)
    {
        if (_embedding is null)
        {
            throw new InvalidOperationException("Only a model that trains all weights holds embeddings; use FrozenEncoder and Forward.");
        }

        ArgumentNullException.ThrowIfNull(packedTokens);
        ArgumentNullException.ThrowIfNull(layout);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return Pass(_embedding.Forward(packedTokens, layout), layout, labels, dropoutSeed: 0, training, packedTokens);
    }

    /// <summary>
    /// Logits without a loss, from hidden states <c>[ΣT, H]</c> at F: <c>[B, C]</c> for classification, else <c>[ΣT, V]</c>. The
    /// caller owns the tensor.
    /// </summary>
    public Tensor Logits(Tensor hidden, SequenceLayout layout)
    {
        CheckHidden(hidden, layout);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var rows = _options.Head == HeadKind.Classification ? layout.LastRows : null;
        var states = _trained.Forward(Own(hidden), new BlockContext(layout, null, rows), tapes: null);
        return Head.Layer.Logits(Head.Norm.Forward(states, tape: null)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Adds <c>share · scale · B A</c> of every adapter to the weight under it, in memory; the adapters stay as they are. A sum of
    /// such products is exact where an average of A and of B is not.
    /// </summary>
    public void MergeAdapters(double share)
    {
        using var noGradient = no_grad();
        foreach (var layer in _adapted)
        {
            layer.MergeAdapter(share);
        }
    }

    /// <summary>Gives every adapter a new A, drawn by the seed, and a B of zero: the adapters then add nothing. The head stays.</summary>
    public void RestartAdapters(ulong seed)
    {
        using var noGradient = no_grad();
        foreach (var layer in _adapted)
        {
            layer.RestartAdapter(seed);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Array.ForEach(_frozen, block => block.Dispose());
        _trained.Dispose();
        _embedding?.Dispose();
        _top?.Norm.Dispose();
        _top?.Layer.Dispose();
        _rotary?.Dispose();
        _store.Dispose();
    }

    /// <summary>
    /// Logits <c>[1, V]</c> after the last of one sequence's next tokens, from their hidden states <c>[n, H]</c> at a cut and a
    /// cache for every block <c>[fromCut, L)</c>. The caller owns the tensor.
    /// </summary>
    internal Tensor NextTokenLogits(Tensor hidden, SequenceLayout layout, int fromCut, ReadOnlySpan<KeyValueCache> caches)
    {
        CheckHidden(hidden, layout);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        TransformerBlock[] blocks = [.. _frozen.AsSpan(fromCut - _options.LowestCut), .. _trained.Blocks];
        var states = BlockStack.Run(blocks, Own(hidden), layout, caches);
        return Head.Layer.Logits(Head.Norm.Forward(states.narrow(0, layout.Tokens - 1, 1), tape: null)).MoveToOuterDisposeScope();
    }

    /// <summary>The B half of a pass, from the loss; called once by the pass.</summary>
    internal void BackwardInput(ForwardPass pass, double lossScale, WeightGradients deferred)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var dRows = Head.Layer.Backward(pass.Head!, lossScale, deferred);
        if (_trained.NeedsGradient || Head.Norm.Trains)
        {
            BackwardBlocks(pass, Head.Norm.Backward(dRows, pass.Tapes[^1], deferred), deferred);
        }
    }

    /// <summary>The B half of a pass, from the gradient of the hidden states that it ended in; called once by the pass.</summary>
    internal void BackwardInput(ForwardPass pass, Tensor gradient, WeightGradients deferred)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        BackwardBlocks(pass, gradient.to(_options.Compute, copy: true).contiguous(), deferred);
    }

    private Top Head => _top ?? throw new InvalidOperationException($"The stage ends at block {_options.End} of {_config.Layers}: it has no head.");

    private void BackwardBlocks(ForwardPass pass, Tensor output, WeightGradients deferred)
    {
        var gradient = _trained.Backward(output, pass.Context, pass.Tapes, deferred);
        if (_embedding is not null)
        {
            _embedding.Backward(gradient!, pass.PackedTokens!, pass.Context.Layout, deferred);
        }

        if (_options.GradientAtBoundary)
        {
            pass.HiddenGradient = gradient!.DetachFromDisposeScope();
        }
    }

    private LayerWeight HeadWeight(ModelFolder folder, LayerFactory layers)
    {
        if (_options.Head == HeadKind.Classification)
        {
            return new LayerWeight(_store.Add("score.weight", ScoreWeight(folder)));
        }

        if (!_config.TieWordEmbeddings && folder.Contains("lm_head.weight"))
        {
            return layers.Weight("lm_head.weight", _config.VocabularySize, _config.Width);
        }

        // An untied model without a head of its own cannot predict anything.
        folder.CheckShape(_config.TieWordEmbeddings ? Embedding.TableName(_config) : "lm_head.weight", _config.VocabularySize, _config.Width);
        return _embedding is null
            ? layers.Weight(Embedding.TableName(_config), _config.VocabularySize, _config.Width)
            : new LayerWeight(_embedding.Table!);
    }

    private Tensor ScoreWeight(ModelFolder folder)
    {
        if (folder.Contains("score.weight"))
        {
            return folder.Load("score.weight", _options.Compute, _options.Classes, _config.Width);
        }

        var random = SeededRandom.ForStream(_options.Seed, "score.weight");
        var values = new double[_options.Classes * _config.Width];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = random.NextGaussian() * InitialDeviation;
        }

        return tensor(values, [_options.Classes, _config.Width], _options.Compute);
    }

    /// <summary>Standard deviation of a new head's weights, the <c>initializer_range</c> of both families.</summary>
    private const double InitialDeviation = 0.02;

    private ForwardPass Pass(Tensor x, SequenceLayout layout, int[] labels, ulong dropoutSeed, bool training, int[]? packedTokens)
    {
        var (rows, targets) = _top is null ? (null, []) : HeadRows.Choose(_options, _config, layout, labels);
        var context = new BlockContext(layout, Dropout.For(_options.Lora, dropoutSeed, training), rows?.DetachFromDisposeScope());
        var tapes = training ? new List<Tape>() : null;
        try
        {
            var states = _trained.Forward(x, context, tapes);
            if (_top is not { } top)
            {
                return new ForwardPass(this, context, tapes ?? [], states.DetachFromDisposeScope());
            }

            var tape = training ? new Tape() : null;
            if (tape is not null)
            {
                tapes!.Add(tape);
            }

            var head = top.Layer.Forward(top.Norm.Forward(states, tape), targets, training);
            return new ForwardPass(this, context, tapes ?? [], head, targets.Length, packedTokens);
        }
        catch
        {
            tapes?.ForEach(tape => tape.Dispose());
            rows?.Dispose();
            throw;
        }
    }

    // A handle of its own, which may be disposed.
    private Tensor Own(Tensor hidden) => hidden.dtype == _options.Compute && hidden.is_contiguous()
        ? hidden.alias()
        : hidden.to(_options.Compute).contiguous();

    private void CheckHidden(Tensor hidden, SequenceLayout layout)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(layout);
        if (hidden.dim() != 2 || hidden.shape[0] != layout.Tokens || hidden.shape[1] != _config.Width)
        {
            throw new ArgumentException(
                $"Hidden states have shape [{string.Join(", ", hidden.shape)}]; layout and model ask for [{layout.Tokens}, {_config.Width}].", nameof(hidden));
        }
    }

    /// <summary>What lies above the last block.</summary>
    private sealed record Top(Norm Norm, OutputHead Layer);
}
