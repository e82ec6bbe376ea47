using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Leakage;

/// <summary>
/// Two attacks on the hidden states of some samples at one cut, position by position. The simple one takes the token whose state alone at the
/// position is nearest. The sequential one knows the tokens before (as it recovered them), and runs candidates behind them through the frozen
/// blocks and the wire type: attention is causal, so the true token behind the true prefix gives the observed state itself, and the search is
/// exact. Candidates come in the order of their distance alone, corrected by how the prefix moved those tried before; the search ends at a match.
/// </summary>
internal sealed class TokenInversion : IDisposable
{
    /// <summary>A state this near, as a share of its own length, is a match: the true one differs by rounding at most.</summary>
    private const double Match = 1e-3;

    /// <summary>Candidates of each round. Where none matches, the prefix is wrong or the budget was too small, and the nearest is taken.</summary>
    private static readonly int[] s_rounds = [16, 64, 256, 512];

    /// <summary>The prefix's effect is that on so many of the nearest candidates.</summary>
    private const int Neighbours = 8;

    private readonly FrozenEncoder _encoder;
    private readonly int _cut;
    private readonly WireType _wireType;
    private readonly int[][] _samples;
    private readonly Tensor[] _observed;
    private readonly List<int>[] _recovered;
    private int _rightAlone;

    /// <summary>Captures the activations of samples as they travel.</summary>
    internal TokenInversion(FrozenEncoder encoder, int cut, WireType wireType, int[][] samples)
    {
        (_encoder, _cut, _wireType, _samples) = (encoder, cut, wireType, samples);
        _recovered = [.. samples.Select(_ => new List<int>())];
        _observed = new Tensor[samples.Length];
        for (var i = 0; i < samples.Length; i++)
        {
            _observed[i] = Travelled(samples[i], [samples[i].Length]).DetachFromDisposeScope();
        }
    }

    /// <summary>Attacks one position of every sample that has it; positions come in order.</summary>
    internal void Attack(int position, SingleTokenStates alone)
    {
        using var noGradient = no_grad();
        for (var i = 0; i < _samples.Length; i++)
        {
            if (position >= _samples[i].Length)
            {
                continue;
            }

            using var scope = NewDisposeScope();
            var observed = _observed[i].narrow(0, position, 1);
            _rightAlone += alone.DistancesTo(observed).argmin().item<long>() == _samples[i][position] ? 1 : 0;
            _recovered[i].Add(Search([.. _recovered[i]], observed, alone));
        }
    }

    /// <summary>What was recovered, after all positions.</summary>
    internal LeakageScore Score() => new(
        _cut, _wireType, _samples.Sum(sample => sample.Length), _rightAlone,
        _samples.Zip(_recovered, (sample, recovered) => sample.Zip(recovered).Count(pair => pair.First == pair.Second)).Sum());

    public void Dispose() => Array.ForEach(_observed, tensor => tensor.Dispose());

    private int Search(int[] prefix, Tensor observed, SingleTokenStates alone)
    {
        var close = Match * observed.norm().item<float>();
        var tried = new List<(int Token, float Distance)>();
        var isTried = zeros([alone.States.shape[0]]);
        var shift = zeros_like(observed);
        foreach (var round in s_rounds)
        {
            using var scope = NewDisposeScope();
            var untried = alone.DistancesTo(observed - shift).AddInPlace(isTried);
            var (_, order) = untried.topk((int)Math.Min(round, alone.States.shape[0] - tried.Count), 0, largest: false, sorted: true);
            var inContext = BehindPrefix(prefix, order.data<long>().ToArray());
            var distances = Distances.ToRow(inContext, observed);
            tried.AddRange(order.data<long>().ToArray().Zip(distances.data<float>().ToArray(), (token, distance) => ((int)token, distance)));
            if (tried.MinBy(candidate => candidate.Distance) is var best && (best.Distance <= close || tried.Count == alone.States.shape[0]))
            {
                return best.Token;
            }

            _ = isTried.FillInPlace(order, double.PositiveInfinity);
            var (_, nearest) = distances.topk((int)Math.Min(Neighbours, order.shape[0]), 0, largest: false, sorted: true);
            var moved = inContext.index_select(0, nearest) - alone.States.index_select(0, order.index_select(0, nearest));
            _ = shift.copy_(moved.mean([0L], keepdim: true));
        }

        return tried.MinBy(candidate => candidate.Distance).Token;
    }

    /// <summary>States <c>[n, H]</c> of n tokens, each behind the prefix, as they would have travelled.</summary>
    private Tensor BehindPrefix(int[] prefix, long[] tokens)
    {
        var length = prefix.Length + 1;
        var states = Travelled([.. tokens.SelectMany(token => prefix.Append((int)token))], [.. Enumerable.Repeat(length, tokens.Length)]);
        return states.view(tokens.Length, length, -1).select(1, length - 1);
    }

    private Tensor Travelled(int[] packedTokens, int[] lengths)
    {
        using var layout = new SequenceLayout(lengths);
        using var hidden = _encoder.Encode(packedTokens, layout, _cut);
        var (states, scales) = HiddenStateCodec.Encode(hidden, _wireType);
        return HiddenStateCodec.Decode(states, scales, layout.Tokens, _encoder.Width, _wireType);
    }
}
