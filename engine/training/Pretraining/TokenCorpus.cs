using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Training.Pretraining;

/// <summary>
/// The tokens of one input: passages in a seeded random order, each followed by the end-of-text token. Some whole documents
/// are held out for measuring perplexity.
/// </summary>
/// <param name="Training">Token ids to train on.</param>
/// <param name="HeldOut">Token ids of the held-out documents.</param>
internal sealed record TokenCorpus(int[] Training, int[] HeldOut)
{
    private const int PassagesPerRound = 256;

    /// <summary>Reads and tokenises an input, until there are enough tokens or the file is used up.</summary>
    public static TokenCorpus Load(CorpusInput input, int index, ITextTokenizer tokenizer, CorpusBudget budget, CancellationToken cancellationToken)
    {
        var endOfText = tokenizer.EndOfTextId
            ?? throw new CorpusException(input.Path, "the tokenizer has no end-of-text token to set between documents; train one with it.");
        var documents = CorpusReader.Read(input).ToArray();
        if (documents.Length == 0)
        {
            throw new CorpusException(input.Path, "holds no text.");
        }

        var random = SeededRandom.ForStream(budget.Seed, "corpus", (ulong)index);
        random.Shuffle<string[]>(documents);
        var heldOutDocuments = documents.Length == 1 ? 0 : Math.Max(1, (int)Math.Round(documents.Length * budget.HeldOutShare));
        var passages = documents.Skip(heldOutDocuments).SelectMany(document => document).ToArray();
        random.Shuffle<string>(passages);
        var heldOut = documents.Take(heldOutDocuments).SelectMany(document => document).ToArray();
        var training = Encode(passages, tokenizer, endOfText, budget.TrainingTokens, cancellationToken);
        return new TokenCorpus(training, Encode(heldOut, tokenizer, endOfText, budget.HeldOutTokens, cancellationToken));
    }

    private static int[] Encode(string[] passages, ITextTokenizer tokenizer, int endOfText, long limit, CancellationToken cancellationToken)
    {
        var ids = new List<int>();
        var round = new int[PassagesPerRound][];
        for (var start = 0; start < passages.Length && ids.Count < limit; start += PassagesPerRound)
        {
            var first = start;
            var count = Math.Min(PassagesPerRound, passages.Length - first);
            Parallel.For(0, count, new ParallelOptions { CancellationToken = cancellationToken }, i => round[i] = tokenizer.Encode(passages[first + i]));
            for (var i = 0; i < count; i++)
            {
                ids.AddRange(round[i]);
                ids.Add(endOfText);
            }
        }

        return [.. ids];
    }
}

/// <summary>How much of an input to tokenise.</summary>
/// <param name="Seed">Seed of the order of its documents.</param>
/// <param name="TrainingTokens">Training tokens that are enough.</param>
/// <param name="HeldOutTokens">Held-out tokens that are enough.</param>
/// <param name="HeldOutShare">Share of the documents that is held out; at least one, unless there is only one.</param>
internal sealed record CorpusBudget(ulong Seed, long TrainingTokens, long HeldOutTokens, double HeldOutShare);
