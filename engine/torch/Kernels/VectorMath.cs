using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SplitFrozen.Torch.Kernels;

/// <summary>Elementary functions on 16 floats at once, accurate to about two units in the last place.</summary>
internal static class VectorMath
{
    private const float Log2OfE = 1.44269504088896341f;
    private const float Ln2High = 0.693359375f;
    private const float Ln2Low = -2.12194440e-4f;
    private const float LargestExponent = 88.0f;
    private const float SmallestExponent = -87.0f;

    /// <summary>
    /// <c>eˣ</c>, with x limited to [−87, 88]: <c>2ⁿ · p(r)</c> with <c>x = n ln 2 + r</c> and the polynomial of Cephes' expf.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.Min(Vector512.Max(x, Vector512.Create(SmallestExponent)), Vector512.Create(LargestExponent));
        var n = Vector512.Round(x * Log2OfE);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2High), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2Low), r);
        var p = Vector512.Create(1.9875691500e-4f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r + Vector512<float>.One);
        return (p.AsInt32() + (Vector512.ConvertToInt32(n) << 23)).AsSingle();
    }

    /// <summary><c>1 / (1 + e⁻ˣ)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Exp(-x));

    /// <summary>The largest of 16 floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float Largest(Vector512<float> x)
    {
        var half = Vector256.Max(x.GetLower(), x.GetUpper());
        var quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return MathF.Max(MathF.Max(quarter[0], quarter[1]), MathF.Max(quarter[2], quarter[3]));
    }
}
