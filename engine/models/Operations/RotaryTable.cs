using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// Rotary position embedding (Su et al., 2021) as Hugging Face applies it: the first half of a head is rotated against the
/// second, <c>(x₁, x₂) → (x₁ cos − x₂ sin, x₂ cos + x₁ sin)</c>. Rotation by the opposite angle is its backward pass.
/// </summary>
internal sealed class RotaryTable : IDisposable
{
    private const long FirstPositions = 128;

    private readonly double[] _frequencies;
    private readonly ScalarType _type;
    private readonly int _headWidth;
    private Tensor? _cosines;
    private Tensor? _sines;

    private RotaryTable(RopeConfig rope, int headWidth, ScalarType type)
    {
        _frequencies = Frequencies(rope, headWidth);
        _type = type;
        _headWidth = headWidth;
    }

    /// <summary>The table of a model; null for a family without rotary positions.</summary>
    internal static RotaryTable? For(TransformerConfig config, ScalarType type) =>
        config.Rope is null ? null : new RotaryTable(config.Rope, config.HeadWidth, type);

    /// <summary>
    /// Radians per position of every pair, <c>[d/2]</c>: <c>theta^(−2i/d)</c>, scaled for long contexts as Llama 3.1 does.
    /// </summary>
    internal static double[] Frequencies(RopeConfig rope, int headWidth)
    {
        var frequencies = new double[headWidth / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var frequency = Math.Pow(rope.Theta, -2.0 * i / headWidth);
            frequencies[i] = rope.Scaling is null ? frequency : Scale(frequency, rope.Scaling);
        }

        return frequencies;
    }

    /// <summary>Rotates packed rows <c>[ΣT, heads·d]</c>; <paramref name="direction"/> is 1, or −1 for the backward pass.</summary>
    internal Tensor Rotate(Tensor rows, SequenceLayout layout, int direction)
    {
        using var scope = NewDisposeScope();
        Reach(layout.FirstPosition + layout.MaximumLength);
        var split = rows.view(rows.shape[0], -1, _headWidth);
        var half = _headWidth / 2;
        var cosines = _cosines!.index_select(0, layout.Positions).unsqueeze(1);
        var sines = _sines!.index_select(0, layout.Positions).unsqueeze(1).MultiplyInPlace(direction);
        var (first, second) = (split.narrow(2, 0, half), split.narrow(2, half, half));
        var rotated = cat([(first * cosines) - (second * sines), (second * cosines).Plus(first * sines)], 2);
        return rotated.view(rows.shape[0], rows.shape[1]).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        _cosines?.Dispose();
        _sines?.Dispose();
    }

    // The table grows with the longest sequence met: models of today name 131072 positions, and few texts need them.
    private void Reach(long positions)
    {
        if (_cosines is not null && _cosines.shape[0] >= positions)
        {
            return;
        }

        var room = Math.Max(FirstPositions, Math.Max(positions, 2 * (_cosines?.shape[0] ?? 0)));
        var angles = tensor([.. Enumerable.Range(0, checked((int)room)).Select(position => (double)position)], [room, 1]) * tensor(_frequencies, [1, _headWidth / 2]);
        Dispose();
        _cosines = angles.cos().to(_type).DetachFromDisposeScope();
        _sines = angles.sin().to(_type).DetachFromDisposeScope();
    }

    private static double Scale(double frequency, RopeScaling scaling)
    {
        var wavelength = 2 * Math.PI / frequency;
        var longest = scaling.OriginalPositions / scaling.LowFrequencyFactor;
        var shortest = scaling.OriginalPositions / scaling.HighFrequencyFactor;
        if (wavelength > longest)
        {
            return frequency / scaling.Factor;
        }

        if (wavelength < shortest)
        {
            return frequency;
        }

        var smooth = ((scaling.OriginalPositions / wavelength) - scaling.LowFrequencyFactor)
            / (scaling.HighFrequencyFactor - scaling.LowFrequencyFactor);
        return ((1 - smooth) * frequency / scaling.Factor) + (smooth * frequency);
    }
}
