using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SplitFrozen.Torch.Kernels;

/// <summary>What <see cref="AttentionKernel"/> does to single rows of scores. Rows are whole vectors long.</summary>
internal static unsafe class AttentionRows
{
    /// <summary>
    /// Replaces the first <paramref name="visible"/> scores by <c>e^(s − largest)</c> and the rest by 0; gives the largest score and the sum.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static (float Largest, float Sum) Exponentials(float* scores, long visible, long count)
    {
        var lanes = Vector512.Create(float.NegativeInfinity);
        for (long i = 0; i < visible; i += FloatMemory.Lanes)
        {
            lanes = Vector512.Max(lanes, Vector512.ConditionalSelect(Below(visible - i), Vector512.Load(scores + i), Vector512.Create(float.NegativeInfinity)));
        }

        var largest = VectorMath.Largest(lanes);
        var sums = Vector512<float>.Zero;
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            var exponential = i >= visible
                ? Vector512<float>.Zero
                : Vector512.ConditionalSelect(Below(visible - i), VectorMath.Exp(Vector512.Load(scores + i) - Vector512.Create(largest)), Vector512<float>.Zero);
            sums += exponential;
            exponential.Store(scores + i);
        }

        return (largest, visible == 0 ? 1 : Vector512.Sum(sums));
    }

    /// <summary>
    /// From scores s and gradients g of probabilities: <c>p = e^(s − logSum)</c> replaces s, and <c>p (g − along)</c> replaces g; both are 0
    /// where the mask does not let through.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void ScoreGradients(float* scores, float* gradients, float logSum, float along, long visible, long count)
    {
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            if (i >= visible)
            {
                Vector512<float>.Zero.Store(scores + i);
                Vector512<float>.Zero.Store(gradients + i);
                continue;
            }

            var mask = Below(visible - i);
            var probability = Vector512.ConditionalSelect(mask, VectorMath.Exp(Vector512.Load(scores + i) - Vector512.Create(logSum)), Vector512<float>.Zero);
            probability.Store(scores + i);
            var gradient = probability * (Vector512.Load(gradients + i) - Vector512.Create(along));
            Vector512.ConditionalSelect(mask, gradient, Vector512<float>.Zero).Store(gradients + i);
        }
    }

    /// <summary>The inner product of two rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static float Dot(float* x, float* y, long count)
    {
        var sum = Vector512<float>.Zero;
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), Vector512.Load(y + i), sum);
        }

        return Vector512.Sum(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Below(long count) =>
        Vector512.LessThan(Vector512<float>.Indices, Vector512.Create((float)Math.Min(count, FloatMemory.Lanes)));
}
