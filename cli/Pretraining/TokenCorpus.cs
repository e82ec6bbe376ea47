using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Cli.Pretraining;

/// <summary>The tokens of one source, split into a training and a held-out part by whole documents.</summary>
/// <param name="Source">Where they come from.</param>
/// <param name="Training">Training tokens; every document ends with the end-of-text token.</param>
/// <param name="HeldOut">Held-out tokens, likewise.</param>
internal sealed record SourceTokens(CorpusSource Source, int[] Training, int[] HeldOut);

/// <summary>Encodes sources; the same files, tokenizer and seed give the same tokens and the same split.</summary>
internal static class TokenCorpus
{
    /// <summary>Paragraphs of a document are joined by a line break; <paramref name="heldOutFraction"/> of the documents are held out.</summary>
    /// <exception cref="InputException">A source has no text.</exception>
    public static SourceTokens Encode(
        CorpusSource source, ITextTokenizer tokenizer, double heldOutFraction, ulong seed, Action<long> progress, CancellationToken cancellationToken)
    {
        var endOfText = tokenizer.EndOfTextId
            ?? throw new InputException("The tokenizer names no end-of-text token, which must stand between documents.");
        var random = SeededRandom.ForStream(seed, "held-out:" + source);
        var training = new List<int>();
        var heldOut = new List<int>();
        var characters = 0L;
        foreach (var document in CorpusReader.Documents(source))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var target = random.NextDouble() < heldOutFraction ? heldOut : training;
            for (var i = 0; i < document.Count; i++)
            {
                var text = i == document.Count - 1 ? document[i] : document[i] + "\n";
                target.AddRange(tokenizer.Encode(text));
                characters += text.Length;
            }

            target.Add(endOfText);
            progress(characters);
        }

        return training.Count > 0
            ? new SourceTokens(source, [.. training], [.. heldOut])
            : throw new InputException($"{source.File}: there is no text to train on.");
    }
}
