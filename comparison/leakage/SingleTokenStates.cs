using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Leakage;

/// <summary>Hidden states <c>[V, H]</c> at a cut of every token of the vocabulary, each alone at one position: what an attacker computes once.</summary>
internal sealed class SingleTokenStates : IDisposable
{
    // Blocks of a GPT-2-small width then need some hundred megabytes.
    private const int ChunkTokens = 4096;

    private SingleTokenStates(Tensor states) => States = states;

    /// <summary>The states, <c>[V, H]</c>.</summary>
    internal Tensor States { get; }

    internal static SingleTokenStates At(FrozenEncoder encoder, int vocabulary, int cut, int position)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var parts = new List<Tensor>();
        for (var begin = 0; begin < vocabulary; begin += ChunkTokens)
        {
            int[] tokens = [.. Enumerable.Range(begin, Math.Min(ChunkTokens, vocabulary - begin))];
            int[] lengths = [.. Enumerable.Repeat(1, tokens.Length)];
            using var layout = new SequenceLayout(lengths, position);
            parts.Add(encoder.Encode(tokens, layout, cut));
        }

        return new SingleTokenStates(cat(parts, 0).DetachFromDisposeScope());
    }

    /// <summary>Distances <c>[V]</c> of all states to one row <c>[1, H]</c>; a new tensor.</summary>
    internal Tensor DistancesTo(Tensor row) => Distances.ToRow(States, row);

    public void Dispose() => States.Dispose();
}

/// <summary>Euclidean distances, computed from differences: equal rows are exactly 0 apart.</summary>
internal static class Distances
{
    /// <summary>Distances <c>[n]</c> of rows <c>[n, H]</c> to one row <c>[1, H]</c>; a new tensor.</summary>
    internal static Tensor ToRow(Tensor rows, Tensor row)
    {
        using var scope = NewDisposeScope();
        var difference = rows - row;
        return (difference * difference).sum(1).sqrt_().MoveToOuterDisposeScope();
    }
}
