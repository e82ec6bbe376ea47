using System.Runtime.InteropServices;
using System.Text;

namespace SplitFrozen.Tokenizers;

/// <summary>
/// Trains a byte-level BPE vocabulary (Sennrich et al., 2016, over bytes as in GPT-2): text is cut into pieces by GPT-2's
/// expression, and the most frequent pair of neighbouring tokens within pieces is merged until the vocabulary is full. Equal
/// counts go to the pair with the smaller left id, then the smaller right id, so the same text always gives the same files.
/// Not thread-safe.
/// </summary>
public sealed class BytePairTrainer
{
    /// <summary>The 256 bytes and <c>&lt;|endoftext|&gt;</c>: the smallest vocabulary there is.</summary>
    public const int MinimumEntries = 257;

    private readonly Dictionary<string, long> _pieces = [];
    private readonly Dictionary<string, long>.AlternateLookup<ReadOnlySpan<char>> _piecesBySpan;
    private readonly List<int> _ends = [];

    /// <summary>Creates a trainer that has seen no text.</summary>
    public BytePairTrainer()
    {
        _piecesBySpan = _pieces.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>
    /// Counts <paramref name="text"/>, usually a paragraph. A text that is exactly <c>&lt;|endoftext|&gt;</c> separates
    /// documents and is not counted.
    /// </summary>
    /// <exception cref="ArgumentException">The text holds half of a surrogate pair.</exception>
    public void Add(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == BytePairFiles.EndOfText)
        {
            return;
        }

        UnicodeText.ThrowIfMalformed(text);
        _ends.Clear();
        PieceSplitter.Gpt2.Split(text, _ends);
        var start = 0;
        foreach (var end in _ends)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_piecesBySpan, text.AsSpan(start, end - start), out _)++;
            start = end;
        }
    }

    /// <summary>Counts every line of <paramref name="lines"/> as <see cref="Add(string)"/> does.</summary>
    public void Add(IEnumerable<string> lines, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(lines);
        foreach (var line in lines)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Add(line);
        }
    }

    /// <summary>
    /// Makes a vocabulary of <paramref name="entries"/> tokens from the text counted so far. It is smaller when no pair is left
    /// that occurs <paramref name="minimumCount"/> times. A pair that spells a token already there is passed over.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer entries than <see cref="MinimumEntries"/>, or a minimum count below 1.</exception>
    public BytePairVocabulary Train(int entries, long minimumCount = 2, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(entries, MinimumEntries);
        ArgumentOutOfRangeException.ThrowIfLessThan(minimumCount, 1);
        var idOfByte = new int[256];
        var tokens = new List<string>(entries);
        foreach (var value in ByteSymbols.BytesInVocabularyOrder)
        {
            idOfByte[value] = tokens.Count;
            tokens.Add(ByteSymbols.SymbolOf(value).ToString());
        }

        var merges = new List<(string, string)>();
        var names = new HashSet<string>(tokens);
        var counts = new PairCounts(Words(idOfByte));
        while (tokens.Count < entries - 1 && counts.TryTakeMostFrequent(minimumCount, out var pair))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var name = tokens[pair.Left] + tokens[pair.Right];

            // Two pairs can spell the same token ("ab" + "c", "a" + "bc"); the vocabulary has room for one of them.
            if (names.Add(name))
            {
                counts.Merge(pair, tokens.Count);
                merges.Add((tokens[pair.Left], tokens[pair.Right]));
                tokens.Add(name);
            }
        }

        tokens.Add(BytePairFiles.EndOfText);
        return new BytePairVocabulary(tokens, merges);
    }

    private IEnumerable<(int[] Symbols, long Count)> Words(int[] idOfByte)
    {
        foreach (var (piece, count) in _pieces)
        {
            yield return (Array.ConvertAll(Encoding.UTF8.GetBytes(piece), value => idOfByte[value]), count);
        }
    }
}
