using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SplitFrozen.Torch.Kernels;

/// <summary>
/// LayerNorm (Ba et al., 2016) and RMSNorm (Zhang and Sennrich, 2019) over the rows of contiguous f32 matrices <c>[n, H]</c>, with
/// the backward pass to the input. RMSNorm has no bias and does not subtract the mean.
/// </summary>
public static unsafe class NormKernels
{
    /// <summary>The normed rows, in a new tensor; <paramref name="bias"/> null makes it RMSNorm.</summary>
    public static Tensor Forward(Tensor x, Tensor weight, Tensor? bias, double epsilon)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(weight);
        var (rows, width) = (x.shape[0], x.shape[1]);
        var y = empty_like(x);
        var (from, scale, to) = ((nint)FloatMemory.Pointer(x), (nint)FloatMemory.Pointer(weight), (nint)FloatMemory.Pointer(y));
        var shift = bias is null ? 0 : (nint)FloatMemory.Pointer(bias);
        KernelThreads.For(rows, width, (begin, end) =>
        {
            for (var row = begin; row < end; row++)
            {
                var at = row * width;
                ForwardRow((float*)from + at, (float*)scale, (float*)shift, (float*)to + at, width, epsilon);
            }
        });
        GC.KeepAlive(bias);
        return y;
    }

    /// <summary>
    /// The gradient of x, in a new tensor: with g = dy·w and x̂ the normed row, <c>(g − mean g − x̂ mean(g x̂)) / σ</c>; RMSNorm has
    /// no <c>mean g</c>.
    /// </summary>
    public static Tensor Backward(Tensor x, Tensor weight, Tensor dy, double epsilon, bool centred)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(dy);
        var (rows, width) = (x.shape[0], x.shape[1]);
        var dx = empty_like(x);
        var (from, scale, gradient, to) =
            ((nint)FloatMemory.Pointer(x), (nint)FloatMemory.Pointer(weight), (nint)FloatMemory.Pointer(dy), (nint)FloatMemory.Pointer(dx));
        KernelThreads.For(rows, width, (begin, end) =>
        {
            for (var row = begin; row < end; row++)
            {
                var at = row * width;
                BackwardRow((float*)from + at, (float*)scale, (float*)gradient + at, (float*)to + at, width, epsilon, centred);
            }
        });
        return dx;
    }

    /// <summary>
    /// Gradients of weight and bias, in new tensors <c>[H]</c>: <c>Σ dy·x̂</c> and <c>Σ dy</c>, rows added in order.
    /// </summary>
    public static (Tensor Weight, Tensor Bias) WeightBackward(Tensor x, Tensor dy, double epsilon, bool centred)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(dy);
        var (rows, width) = (x.shape[0], x.shape[1]);
        var (dWeight, dBias) = (zeros([width]), zeros([width]));
        var from = FloatMemory.Pointer(x);
        var gradient = FloatMemory.Pointer(dy);
        var (toWeight, toBias) = ((nint)FloatMemory.Pointer(dWeight), (nint)FloatMemory.Pointer(dBias));
        for (long row = 0; row < rows; row++)
        {
            WeightBackwardRow(from + (row * width), gradient + (row * width), (float*)toWeight, (float*)toBias, width, epsilon, centred);
        }

        return (dWeight, dBias);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardRow(float* x, float* weight, float* bias, float* y, long width, double epsilon)
    {
        var (mean, reciprocal) = Moments(x, width, centred: bias is not null, epsilon);
        for (long i = 0; i < width; i += FloatMemory.Lanes)
        {
            var left = width - i;
            var normed = (FloatMemory.Load(x + i, left) - Vector512.Create(mean)) * reciprocal * FloatMemory.Load(weight + i, left);
            FloatMemory.Store(bias is null ? normed : normed + FloatMemory.Load(bias + i, left), y + i, left);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardRow(float* x, float* weight, float* dy, float* dx, long width, double epsilon, bool centred)
    {
        var (mean, reciprocal) = Moments(x, width, centred, epsilon);
        var (sum, projection) = (Vector512<float>.Zero, Vector512<float>.Zero);
        for (long i = 0; i < width; i += FloatMemory.Lanes)
        {
            var left = width - i;
            var g = FloatMemory.Load(dy + i, left) * FloatMemory.Load(weight + i, left);
            sum += g;
            projection = Vector512.FusedMultiplyAdd(g, FloatMemory.Load(x + i, left, mean) - Vector512.Create(mean), projection);
        }

        var meanGradient = centred ? Vector512.Sum(sum) / width : 0;
        var along = Vector512.Sum(projection) * reciprocal * reciprocal / width;
        for (long i = 0; i < width; i += FloatMemory.Lanes)
        {
            var left = width - i;
            var g = FloatMemory.Load(dy + i, left) * FloatMemory.Load(weight + i, left);
            var offset = FloatMemory.Load(x + i, left) - Vector512.Create(mean);
            FloatMemory.Store((g - Vector512.Create(meanGradient) - (offset * along)) * reciprocal, dx + i, left);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WeightBackwardRow(float* x, float* dy, float* dWeight, float* dBias, long width, double epsilon, bool centred)
    {
        var (mean, reciprocal) = Moments(x, width, centred, epsilon);
        for (long i = 0; i < width; i += FloatMemory.Lanes)
        {
            var left = width - i;
            var outer = FloatMemory.Load(dy + i, left);
            var normed = (FloatMemory.Load(x + i, left) - Vector512.Create(mean)) * reciprocal;
            FloatMemory.Store(FloatMemory.Load(dWeight + i, left) + (outer * normed), dWeight + i, left);
            FloatMemory.Store(FloatMemory.Load(dBias + i, left) + outer, dBias + i, left);
        }
    }

    // Mean of a row (0 where it is not centred) and 1 / √(variance + ε).
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (float Mean, float Reciprocal) Moments(float* x, long width, bool centred, double epsilon)
    {
        var mean = 0f;
        if (centred)
        {
            var sum = Vector512<float>.Zero;
            for (long i = 0; i < width; i += FloatMemory.Lanes)
            {
                sum += FloatMemory.Load(x + i, width - i);
            }

            mean = Vector512.Sum(sum) / width;
        }

        var squares = Vector512<float>.Zero;
        for (long i = 0; i < width; i += FloatMemory.Lanes)
        {
            var offset = FloatMemory.Load(x + i, width - i, mean) - Vector512.Create(mean);
            squares = Vector512.FusedMultiplyAdd(offset, offset, squares);
        }

        return (mean, (float)(1 / Math.Sqrt((Vector512.Sum(squares) / (double)width) + epsilon)));
    }
}
