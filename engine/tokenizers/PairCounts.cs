using System.Runtime.InteropServices;

namespace SplitFrozen.Tokenizers;

/// <summary>Two neighbouring tokens.</summary>
internal readonly record struct TokenPair(int Left, int Right);

/// <summary>
/// How often every pair of neighbouring tokens occurs over weighted words, kept up to date while pairs are merged. Only the
/// words that hold the merged pair are visited, and the queue is corrected lazily, so that a merge costs about its own pairs.
/// </summary>
internal sealed class PairCounts
{
    private readonly List<int[]> _words = [];
    private readonly List<int> _lengths = [];
    private readonly List<long> _weights = [];
    private readonly Dictionary<TokenPair, long> _counts = [];
    private readonly Dictionary<TokenPair, List<int>> _wordsOfPair = [];
    private readonly PriorityQueue<TokenPair, Rank> _queue = new();
    private readonly HashSet<TokenPair> _grown = [];

    public PairCounts(IEnumerable<(int[] Symbols, long Count)> words)
    {
        foreach (var (symbols, weight) in words)
        {
            if (symbols.Length < 2)
            {
                continue;
            }

            var word = _words.Count;
            _words.Add(symbols);
            _lengths.Add(symbols.Length);
            _weights.Add(weight);
            for (var i = 1; i < symbols.Length; i++)
            {
                Grow(new TokenPair(symbols[i - 1], symbols[i]), word, weight);
            }
        }

        Enqueue();
    }

    /// <summary>Takes the pair with the highest count (ties: smallest left, then right id), or false when none reaches the minimum.</summary>
    public bool TryTakeMostFrequent(long minimumCount, out TokenPair pair)
    {
        while (_queue.TryDequeue(out pair, out var rank))
        {
            var count = _counts.GetValueOrDefault(pair);
            if (count == rank.Count)
            {
                return count >= minimumCount;
            }

            // Counts in the queue are only ever too high, or doubled by a later entry with the higher one.
            if (count > 0 && count < rank.Count)
            {
                _queue.Enqueue(pair, new Rank(count, pair));
            }
        }

        return false;
    }

    /// <summary>Replaces every occurrence of <paramref name="pair"/>, left to right within a word, by <paramref name="merged"/>.</summary>
    public void Merge(TokenPair pair, int merged)
    {
        if (!_wordsOfPair.Remove(pair, out var words))
        {
            return;
        }

        foreach (var word in words)
        {
            MergeWord(word, pair, merged);
        }

        _counts.Remove(pair);
        Enqueue();
    }

    private void MergeWord(int word, TokenPair pair, int merged)
    {
        var symbols = _words[word];
        var length = _lengths[word];
        var weight = _weights[word];
        var write = 0;
        for (var read = 0; read < length; read++)
        {
            if (read + 1 >= length || symbols[read] != pair.Left || symbols[read + 1] != pair.Right)
            {
                symbols[write++] = symbols[read];
                continue;
            }

            if (write > 0)
            {
                Shrink(new TokenPair(symbols[write - 1], pair.Left), weight);
                Grow(new TokenPair(symbols[write - 1], merged), word, weight);
            }

            if (read + 2 < length)
            {
                Shrink(new TokenPair(pair.Right, symbols[read + 2]), weight);
                Grow(new TokenPair(merged, symbols[read + 2]), word, weight);
            }

            symbols[write++] = merged;
            read++;
        }

        _lengths[word] = write;
    }

    private void Grow(TokenPair pair, int word, long weight)
    {
        CollectionsMarshal.GetValueRefOrAddDefault(_counts, pair, out _) += weight;
        ref var words = ref CollectionsMarshal.GetValueRefOrAddDefault(_wordsOfPair, pair, out _);
        words ??= [];
        if (words.Count == 0 || words[^1] != word)
        {
            words.Add(word);
        }

        _grown.Add(pair);
    }

    private void Shrink(TokenPair pair, long weight) => CollectionsMarshal.GetValueRefOrAddDefault(_counts, pair, out _) -= weight;

    private void Enqueue()
    {
        foreach (var pair in _grown)
        {
            if (_counts.GetValueOrDefault(pair) is var count and > 0)
            {
                _queue.Enqueue(pair, new Rank(count, pair));
            }
        }

        _grown.Clear();
    }

    /// <summary>Orders the queue: higher counts first, then smaller ids.</summary>
    private readonly record struct Rank(long Count, TokenPair Pair) : IComparable<Rank>
    {
        public int CompareTo(Rank other)
        {
            var order = other.Count.CompareTo(Count);
            order = order != 0 ? order : Pair.Left.CompareTo(other.Pair.Left);
            return order != 0 ? order : Pair.Right.CompareTo(other.Pair.Right);
        }

        public static bool operator <(Rank left, Rank right) => left.CompareTo(right) < 0;

        public static bool operator >(Rank left, Rank right) => left.CompareTo(right) > 0;

        public static bool operator <=(Rank left, Rank right) => left.CompareTo(right) <= 0;

        public static bool operator >=(Rank left, Rank right) => left.CompareTo(right) >= 0;
    }
}
