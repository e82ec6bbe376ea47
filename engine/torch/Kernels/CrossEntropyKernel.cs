using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SplitFrozen.Torch.Kernels;

/// <summary>
/// Softmax cross-entropy of contiguous f32 logits <c>[n, C]</c>, with its gradient in the same pass over a row. torch's takes
/// several passes and temporaries; over a vocabulary of 4096 this is several times faster.
/// </summary>
public static unsafe class CrossEntropyKernel
{
    /// <summary>
    /// Writes each row's loss and whether its target has the largest logit (the first of equals). With
    /// <paramref name="gradientScale"/> the logits are replaced by the gradient of <c>gradientScale · Σ loss</c>.
    /// </summary>
    /// <param name="logits">Logits <c>[n, C]</c>.</param>
    /// <param name="targets">Targets <c>[n]</c>, each in 0..C−1.</param>
    /// <param name="losses">Receives the losses <c>[n]</c>.</param>
    /// <param name="correct">Receives the hits <c>[n]</c>.</param>
    /// <param name="gradientScale">Scale of the gradient; null leaves the logits.</param>
    public static void Compute(Tensor logits, int[] targets, double[] losses, bool[] correct, double? gradientScale)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(targets);
        ArgumentNullException.ThrowIfNull(losses);
        ArgumentNullException.ThrowIfNull(correct);
        var (rows, classes) = (logits.shape[0], logits.shape[1]);
        if (targets.Length != rows || losses.Length != rows || correct.Length != rows || Array.Exists(targets, target => target < 0 || target >= classes))
        {
            throw new ArgumentException($"Logits [{rows}, {classes}] need {rows} targets in 0..{classes - 1} and as many results.", nameof(targets));
        }

        var start = (nint)FloatMemory.Pointer(logits);
        KernelThreads.For(rows, classes, (begin, end) =>
        {
            for (var row = begin; row < end; row++)
            {
                (losses[row], correct[row]) = Row((float*)start + (row * classes), classes, targets[row], (float?)gradientScale);
            }
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (double Loss, bool Correct) Row(float* logits, long classes, int target, float? scale)
    {
        var largestLanes = Vector512.Create(float.NegativeInfinity);
        for (long i = 0; i < classes; i += FloatMemory.Lanes)
        {
            largestLanes = Vector512.Max(largestLanes, FloatMemory.Load(logits + i, classes - i, float.NegativeInfinity));
        }

        var largest = VectorMath.Largest(largestLanes);
        var aim = logits[target];
        var correct = aim == largest && new ReadOnlySpan<float>(logits, target).IndexOf(largest) < 0;
        var sums = Vector512<float>.Zero;
        for (long i = 0; i < classes; i += FloatMemory.Lanes)
        {
            var left = classes - i;
            var exponential = VectorMath.Exp(FloatMemory.Load(logits + i, left) - Vector512.Create(largest));
            if (left < FloatMemory.Lanes)
            {
                exponential = Vector512.ConditionalSelect(
                    Vector512.LessThan(Vector512<float>.Indices, Vector512.Create((float)left)), exponential, Vector512<float>.Zero);
            }

            sums += exponential;
            if (scale is not null)
            {
                FloatMemory.Store(exponential, logits + i, left);
            }
        }

        var sum = Vector512.Sum(sums);
        if (scale is { } factor)
        {
            ScaleRow(logits, classes, factor / sum);
            logits[target] -= factor;
        }

        return (Math.Log(sum) - (aim - (double)largest), correct);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScaleRow(float* row, long classes, float factor)
    {
        for (long i = 0; i < classes; i += FloatMemory.Lanes)
        {
            FloatMemory.Store(FloatMemory.Load(row + i, classes - i) * factor, row + i, classes - i);
        }
    }
}
