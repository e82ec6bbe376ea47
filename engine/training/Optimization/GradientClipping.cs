using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Optimization;

/// <summary>
/// Clipping by the global norm (Pascanu and others, arXiv 1211.5063), with torch.nn.utils.clip_grad_norm_'s formula. The norm is summed parameter by
/// parameter in double precision and in one order, so that it is the same bits whether one model holds all parameters or each stage of a
/// pipeline its own.
/// </summary>
public static class GradientClipping
{
    private const double NormOffset = 1e-6;

    /// <summary>The Euclidean norm of all gradients, from the sum of squares of each parameter's in order.</summary>
    public static double Norm(IEnumerable<double> squares)
    {
        ArgumentNullException.ThrowIfNull(squares);
        return Math.Sqrt(squares.Aggregate(0.0, (sum, square) => sum + square));
    }

    /// <summary>What gradients of a norm are multiplied with: <c>min(1, maximum / (norm + 1e-6))</c>; 1 for a norm that is not finite.</summary>
    /// <param name="norm">Their norm.</param>
    /// <param name="maximumNorm">Largest norm; 0 turns clipping off.</param>
    public static double Scale(double norm, double maximumNorm)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maximumNorm);
        return maximumNorm > 0 && double.IsFinite(norm) ? Math.Min(1, maximumNorm / (norm + NormOffset)) : 1;
    }

    /// <summary>Sum of the squares of a contiguous tensor's elements, Float32 or Float64, in double precision.</summary>
    public static double Squares(Tensor gradient)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        var bytes = TensorBytes.View(gradient);
        return gradient.dtype == ScalarType.Float64 ? Squares(MemoryMarshal.Cast<byte, double>(bytes)) : Squares(MemoryMarshal.Cast<byte, float>(bytes));
    }

    private static double Squares(ReadOnlySpan<double> values)
    {
        var sum = 0.0;
        foreach (var value in values)
        {
            sum += value * value;
        }

        return sum;
    }

    /// <summary>Four sums side by side on every machine, whatever its vectors' width: the order of the sums decides their bits.</summary>
    private static double Squares(ReadOnlySpan<float> values)
    {
        var sums = Vector256<double>.Zero;
        while (values.Length >= Vector128<float>.Count)
        {
            var (lower, upper) = Vector128.Widen(Vector128.Create(values));
            var wide = Vector256.Create(lower, upper);
            sums += wide * wide;
            values = values[Vector128<float>.Count..];
        }

        var sum = ((sums[0] + sums[1]) + sums[2]) + sums[3];
        foreach (var value in values)
        {
            sum += (double)value * value;
        }

        return sum;
    }
}
