using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;

namespace SplitFrozen.Comparison.Leakage;

/// <summary>How many tokens an attacker gets back from activations at one cut in one wire type.</summary>
/// <param name="Cut">Blocks that the device ran.</param>
/// <param name="WireType">How the activations travelled.</param>
/// <param name="Tokens">Tokens attacked, every position of every sample.</param>
/// <param name="RecoveredAlone">Right by comparing with every token alone at its position.</param>
/// <param name="RecoveredInSequence">Right by trying tokens behind those that were recovered before.</param>
public sealed record LeakageScore(int Cut, WireType WireType, int Tokens, int RecoveredAlone, int RecoveredInSequence)
{
    /// <summary>Share recovered by the simple attack, 0 to 1.</summary>
    public double ShareAlone => (double)RecoveredAlone / Tokens;

    /// <summary>Share recovered by the sequential attack, 0 to 1.</summary>
    public double ShareInSequence => (double)RecoveredInSequence / Tokens;
}

/// <summary>
/// Measures what captured activations give away to someone who has the public base model: the frozen blocks are known, so whoever sees a hidden
/// state can look for the token that explains it.
/// </summary>
public static class LeakageMeasurement
{
    /// <summary>Attacks the activations of samples, as a device would send them, at each cut in each wire type. Runs on the calling compute thread.</summary>
    /// <param name="model">The base model, which the attacker has too.</param>
    /// <param name="samples">The samples, at least one.</param>
    /// <param name="cuts">Cuts, 0 to the number of blocks.</param>
    /// <param name="wireTypes">Wire types.</param>
    /// <param name="cancellationToken">Looked at before every position.</param>
    /// <returns>A score for every cut and wire type, in their order.</returns>
    /// <exception cref="ArgumentException">There is no sample, cut or wire type.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A cut lies outside the model.</exception>
    public static IReadOnlyList<LeakageScore> Measure(
        ModelFolder model, IReadOnlyList<EncodedSample> samples, IReadOnlyList<int> cuts, IReadOnlyList<WireType> wireTypes, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(cuts);
        ArgumentNullException.ThrowIfNull(wireTypes);
        if (samples.Count == 0 || cuts.Count == 0 || wireTypes.Count == 0)
        {
            throw new ArgumentException("An attack needs at least one sample, one cut and one wire type.", nameof(samples));
        }

        using var encoder = FrozenEncoder.Open(model, cuts.Max());
        int[][] tokens = [.. samples.Select(sample => sample.Tokens)];
        return [.. cuts.SelectMany(cut => AtCut(encoder, model.Config.VocabularySize, tokens, cut, wireTypes, cancellationToken))];
    }

    private static IEnumerable<LeakageScore> AtCut(
        FrozenEncoder encoder, int vocabulary, int[][] samples, int cut, IReadOnlyList<WireType> wireTypes, CancellationToken cancellationToken)
    {
        var attacks = wireTypes.Select(type => new TokenInversion(encoder, cut, type, samples)).ToArray();
        try
        {
            for (var position = 0; position < samples.Max(sample => sample.Length); position++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var alone = SingleTokenStates.At(encoder, vocabulary, cut, position);
                Array.ForEach(attacks, attack => attack.Attack(position, alone));
            }

            return [.. attacks.Select(attack => attack.Score())];
        }
        finally
        {
            Array.ForEach(attacks, attack => attack.Dispose());
        }
    }
}
