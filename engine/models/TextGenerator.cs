using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// Continues a text greedily, always by the likeliest token. Keys and values of earlier tokens are cached, so a further token
/// costs one row per block. The model is a device's part and the server's part together; changes of the server part's
/// adapters show at the next call. It owns neither part. Not thread-safe.
/// </summary>
public sealed class TextGenerator
{
    private readonly FrozenEncoder _encoder;
    private readonly UpperModel _upper;

    /// <summary>Puts the two parts together.</summary>
    /// <param name="encoder">Embeddings and lower blocks, of the same model and type as <paramref name="upper"/>.</param>
    /// <param name="upper">The rest, with a language-model head; it must hold the blocks from the encoder's cut on.</param>
    /// <exception cref="ArgumentException">The head is not for language modelling, or the parts do not meet.</exception>
    public TextGenerator(FrozenEncoder encoder, UpperModel upper)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(upper);
        if (upper.Options.Head != HeadKind.LanguageModel)
        {
            throw new ArgumentException("Text comes from a language-model head only; this model classifies.", nameof(upper));
        }

        if (encoder.Width != upper.Config.Width || encoder.Cut < upper.Options.LowestCut || encoder.Cut > upper.Options.Boundary)
        {
            throw new ArgumentException(
                $"The lower part ends at block {encoder.Cut} with width {encoder.Width}; the upper part takes cuts "
                + $"{upper.Options.LowestCut} to {upper.Options.Boundary} and width {upper.Config.Width}.",
                nameof(encoder));
        }

        _encoder = encoder;
        _upper = upper;
    }

    /// <summary>
    /// The tokens that follow a prompt, without the prompt and without the stop token. Ends at a stop token, after
    /// <paramref name="maximumNewTokens"/>, or where the model's positions are used up. Of equal logits the lower id wins.
    /// </summary>
    /// <param name="prompt">Token ids, at least one; a token that begins a text is not added.</param>
    /// <param name="maximumNewTokens">Limit of the result's length, at least 0.</param>
    /// <param name="stopTokens">Ids that end the text, for example <see cref="TransformerConfig.EndOfTextId"/>.</param>
    /// <param name="cancellationToken">Looked at before every token.</param>
    /// <exception cref="ArgumentException">The prompt is empty, too long, or has ids outside the vocabulary.</exception>
    public int[] Generate(int[] prompt, int maximumNewTokens, IReadOnlySet<int> stopTokens, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(stopTokens);
        ArgumentOutOfRangeException.ThrowIfNegative(maximumNewTokens);
        if (prompt.Length == 0 || prompt.Length > _upper.Config.MaximumPositions)
        {
            throw new ArgumentException(
                $"A prompt has 1 to {_upper.Config.MaximumPositions} tokens, the model's positions; this one has {prompt.Length}.", nameof(prompt));
        }

        KeyValueCache[] caches = [.. Enumerable.Range(0, _upper.Config.Layers).Select(_ => new KeyValueCache())];
        try
        {
            return Continue(prompt, maximumNewTokens, stopTokens, caches, cancellationToken);
        }
        finally
        {
            Array.ForEach(caches, cache => cache.Dispose());
        }
    }

    private int[] Continue(int[] prompt, int maximumNewTokens, IReadOnlySet<int> stopTokens, KeyValueCache[] caches, CancellationToken cancellationToken)
    {
        var generated = new List<int>();
        var (next, position) = (prompt, 0);
        while (generated.Count < maximumNewTokens && position + next.Length <= _upper.Config.MaximumPositions)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var token = NextToken(next, position, caches);
            if (stopTokens.Contains(token))
            {
                break;
            }

            generated.Add(token);
            (next, position) = ([token], position + next.Length);
        }

        return [.. generated];
    }

    private int NextToken(int[] tokens, int position, KeyValueCache[] caches)
    {
        using var scope = NewDisposeScope();
        using var layout = new SequenceLayout([tokens.Length], position);
        var hidden = _encoder.Continue(tokens, layout, caches.AsSpan(0, _encoder.Cut));
        var logits = _upper.NextTokenLogits(hidden, layout, _encoder.Cut, caches.AsSpan(_encoder.Cut));
        return (int)logits.argmax().item<long>();
    }
}
