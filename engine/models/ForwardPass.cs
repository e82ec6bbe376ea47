using SplitFrozen.Models.Blocks;
using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// One pass over some sequences: its loss, or the hidden states where a stage without a head ends, and what its backward pass needs until that
/// has run. Dispose it.
/// </summary>
public sealed class ForwardPass : IDisposable
{
    private readonly UpperModel _model;
    private bool _ready;

    internal ForwardPass(UpperModel model, BlockContext context, IReadOnlyList<Tape> tapes, HeadPass head, int countedLabels, int[]? packedTokens)
    {
        _model = model;
        _ready = tapes.Count > 0;
        Context = context;
        Tapes = tapes;
        Head = head;
        CountedLabels = countedLabels;
        PackedTokens = packedTokens;
    }

    internal ForwardPass(UpperModel model, BlockContext context, IReadOnlyList<Tape> tapes, Tensor output)
    {
        _model = model;
        _ready = tapes.Count > 0;
        Context = context;
        Tapes = tapes;
        Output = output;
    }

    /// <summary>Hidden states <c>[ΣT, H]</c> at the end of a stage without a head, which live as long as the pass; null where there is a loss.</summary>
    public Tensor? Output { get; }

    /// <summary>Mean cross-entropy in nats over the counted labels; 0 if there are none.</summary>
    public double Loss => Head?.Loss ?? 0;

    /// <summary>Labels that count: sequences, or tokens with a target.</summary>
    public int CountedLabels { get; }

    /// <summary>Counted labels that had the largest logit.</summary>
    public int CorrectPredictions => Head?.Correct ?? 0;

    /// <summary>Logits <c>[B, C]</c> for classification; null for language modelling, where they are never held (see <see cref="UpperModel.Logits"/>).</summary>
    public Tensor? Logits => Head?.Logits;

    /// <summary>
    /// Gradient <c>[ΣT, H]</c> of the scaled loss for the hidden states at F, once the backward pass has run; null before, without
    /// counted labels, and without <see cref="UpperModelOptions.GradientAtBoundary"/>. Lives as long as the pass.
    /// </summary>
    public Tensor? HiddenGradient { get; internal set; }

    internal BlockContext Context { get; }

    internal IReadOnlyList<Tape> Tapes { get; }

    internal HeadPass? Head { get; }

    internal int[]? PackedTokens { get; }

    /// <summary>
    /// The B half of the backward pass: gradients of hidden states, from the head down to the lowest trainable layer. Gradients of
    /// parameters are put off into <paramref name="deferred"/>; no <see cref="Parameter.Gradient"/> changes before it runs.
    /// </summary>
    /// <param name="lossScale">Factor of the mean loss, for example this pass's share of a step's labels.</param>
    /// <param name="deferred">Where the W half is put off.</param>
    /// <exception cref="InvalidOperationException">The pass was not for training, or its backward pass has run.</exception>
    public void BackwardInput(double lossScale, WeightGradients deferred)
    {
        Begin(deferred);
        if (CountedLabels > 0)
        {
            _model.BackwardInput(this, lossScale, deferred);
        }

        FreeTapes();
    }

    /// <summary>As <see cref="BackwardInput(double, WeightGradients)"/>, from the gradient of <see cref="Output"/>.</summary>
    /// <param name="gradient">Gradient <c>[ΣT, H]</c>; stays the caller's.</param>
    /// <param name="deferred">Where the W half is put off.</param>
    /// <exception cref="ArgumentException">The gradient has another shape than the output, or there is none.</exception>
    /// <exception cref="InvalidOperationException">The pass was not for training, or its backward pass has run.</exception>
    public void BackwardInput(Tensor gradient, WeightGradients deferred)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        if (Output is null || !gradient.shape.AsSpan().SequenceEqual(Output.shape))
        {
            throw new ArgumentException($"The gradient has shape [{string.Join(", ", gradient.shape)}], the output {(Output is null ? "is a loss" : $"[{string.Join(", ", Output.shape)}]")}.", nameof(gradient));
        }

        Begin(deferred);
        _model.BackwardInput(this, gradient, deferred);
        FreeTapes();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ready = false;
        FreeTapes();
        Head?.Dispose();
        Output?.Dispose();
        HiddenGradient?.Dispose();
        Context.RowsAfterAttention?.Dispose();
    }

    private void Begin(WeightGradients deferred)
    {
        ArgumentNullException.ThrowIfNull(deferred);
        if (!_ready)
        {
            throw new InvalidOperationException("A pass runs backward once, and only if it was made with training: true.");
        }

        _ready = false;
    }

    private void FreeTapes()
    {
        foreach (var tape in Tapes)
        {
            tape.Dispose();
        }
    }
}
