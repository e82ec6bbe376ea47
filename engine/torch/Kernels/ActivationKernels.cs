using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SplitFrozen.Torch.Kernels;

/// <summary>
/// Elementwise nonlinearities of f32 tensors in one pass over memory each. torch's tanh-GELU costs 34 ms forward and backward on
/// [4096, 1024], one thread; these cost a few (see <c>bench training-step</c>). All tensors are contiguous and of one shape. The loops are compiled with full
/// optimisation at once: they are called seldom and run long, so tiered compilation would keep them slow for many steps.
/// </summary>
public static unsafe class ActivationKernels
{
    // gelu(x) = x σ(2u), u = √(2/π) (x + 0.044715 x³): the tanh form, by tanh u = 2 σ(2u) − 1.
    private const float Linear = 1.5957691216057308f;
    private const float Cubic = Linear * 0.044715f;

    /// <summary>GELU in its tanh form, in a new tensor or over x.</summary>
    public static Tensor Gelu(Tensor x, bool inPlace = false)
    {
        ArgumentNullException.ThrowIfNull(x);
        var y = inPlace ? x : empty_like(x);
        var (from, to) = ((nint)FloatMemory.Pointer(x), (nint)FloatMemory.Pointer(y));
        ForElements(x, (begin, end) => GeluRange((float*)from + begin, (float*)to + begin, end - begin));
        return y;
    }

    /// <summary>The gradient of <see cref="Gelu"/>'s input x, written over the gradient <paramref name="dy"/> of its output.</summary>
    public static void GeluBackward(Tensor x, Tensor dy)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(dy);
        var (from, gradient) = ((nint)FloatMemory.Pointer(x), (nint)FloatMemory.Pointer(dy));
        ForElements(x, (begin, end) => GeluBackwardRange((float*)from + begin, (float*)gradient + begin, end - begin));
    }

    /// <summary>SwiGLU's gate <c>silu(gate) · up</c>, in a new tensor.</summary>
    public static Tensor SwiGlu(Tensor gate, Tensor up)
    {
        ArgumentNullException.ThrowIfNull(gate);
        ArgumentNullException.ThrowIfNull(up);
        var y = empty_like(gate);
        var (first, second, to) = ((nint)FloatMemory.Pointer(gate), (nint)FloatMemory.Pointer(up), (nint)FloatMemory.Pointer(y));
        ForElements(gate, (begin, end) => SwiGluRange((float*)first + begin, (float*)second + begin, (float*)to + begin, end - begin));
        return y;
    }

    /// <summary>Gradients of <see cref="SwiGlu"/>'s inputs, in new tensors, given that of its output.</summary>
    public static (Tensor Gate, Tensor Up) SwiGluBackward(Tensor gate, Tensor up, Tensor dy)
    {
        ArgumentNullException.ThrowIfNull(gate);
        ArgumentNullException.ThrowIfNull(up);
        ArgumentNullException.ThrowIfNull(dy);
        var (dGate, dUp) = (empty_like(gate), empty_like(up));
        var (first, second, gradient) = ((nint)FloatMemory.Pointer(gate), (nint)FloatMemory.Pointer(up), (nint)FloatMemory.Pointer(dy));
        var (toGate, toUp) = ((nint)FloatMemory.Pointer(dGate), (nint)FloatMemory.Pointer(dUp));
        ForElements(gate, (begin, end) => SwiGluBackwardRange(
            (float*)first + begin, (float*)second + begin, (float*)gradient + begin, (float*)toGate + begin, (float*)toUp + begin, end - begin));
        return (dGate, dUp);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GeluRange(float* x, float* y, long count)
    {
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            var value = FloatMemory.Load(x + i, count - i);
            FloatMemory.Store(value * VectorMath.Sigmoid(GeluArgument(value)), y + i, count - i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GeluBackwardRange(float* x, float* gradient, long count)
    {
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            var value = FloatMemory.Load(x + i, count - i);
            var sigmoid = VectorMath.Sigmoid(GeluArgument(value));
            var slope = Vector512.FusedMultiplyAdd(value * value, Vector512.Create(3 * Cubic), Vector512.Create(Linear));
            var derivative = Vector512.FusedMultiplyAdd(value * slope, sigmoid * (Vector512<float>.One - sigmoid), sigmoid);
            FloatMemory.Store(FloatMemory.Load(gradient + i, count - i) * derivative, gradient + i, count - i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SwiGluRange(float* gate, float* up, float* y, long count)
    {
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            var value = FloatMemory.Load(gate + i, count - i);
            FloatMemory.Store(value * VectorMath.Sigmoid(value) * FloatMemory.Load(up + i, count - i), y + i, count - i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SwiGluBackwardRange(float* gate, float* up, float* gradient, float* dGate, float* dUp, long count)
    {
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            var value = FloatMemory.Load(gate + i, count - i);
            var outer = FloatMemory.Load(gradient + i, count - i);
            var sigmoid = VectorMath.Sigmoid(value);
            var derivative = sigmoid * Vector512.FusedMultiplyAdd(value, Vector512<float>.One - sigmoid, Vector512<float>.One);
            FloatMemory.Store(outer * FloatMemory.Load(up + i, count - i) * derivative, dGate + i, count - i);
            FloatMemory.Store(outer * value * sigmoid, dUp + i, count - i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> GeluArgument(Vector512<float> x) =>
        x * Vector512.FusedMultiplyAdd(x * x, Vector512.Create(Cubic), Vector512.Create(Linear));

    // Ranges are cut at multiples of a vector, so that every thread works on whole vectors.
    private static void ForElements(Tensor tensor, Action<long, long> body)
    {
        var count = tensor.NumberOfElements;
        var vectors = (count + FloatMemory.Lanes - 1) / FloatMemory.Lanes;
        KernelThreads.For(vectors, FloatMemory.Lanes, (begin, end) => body(begin * FloatMemory.Lanes, Math.Min(end * FloatMemory.Lanes, count)));
        GC.KeepAlive(tensor);
    }
}
