using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SplitFrozen.Torch.Kernels;

/// <summary>
/// A linear layer of int8 weights. Each row of x is taken as <c>s (256 h + l)</c> with int8 numbers h and l and a scale <c>s = max|x| / 32512</c> of its
/// own, so that a row keeps 15 bits and both halves go through one integer product. That is exact, and everything beside it goes row by
/// row: a row's result is the same bits whatever it is computed beside.
/// </summary>
public static unsafe class Int8Rows
{
    /// <summary>Rows of x that one product takes. Products of few shapes keep the number of kernels small that libtorch compiles.</summary>
    private const int TileRows = 128;

    /// <summary>Rows are padded with zeros to a multiple of this.</summary>
    private const int RowStep = 32;

    /// <summary>127 · 256: the largest sum of halves.</summary>
    private const float Largest = 32512;

    // A row this small is zero beside any weight, and its reciprocal would overflow.
    private const float Smallest = 1e-30f;

    /// <summary><c>x Wᵀ + b</c>: f32 <c>[n, out]</c> of f32 x <c>[n, in]</c>. The caller owns the tensor.</summary>
    /// <param name="x">The rows.</param>
    /// <param name="weight">int8 <c>[out, in]</c>, −127 to 127.</param>
    /// <param name="scales">f32 <c>[out]</c>: W is weight times scale.</param>
    /// <param name="bias">f32 <c>[out]</c>, or null.</param>
    public static Tensor Multiply(Tensor x, Tensor weight, Tensor scales, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(scales);
        var (rows, depth, width) = (x.shape[0], x.shape[1], weight.shape[0]);
        var y = empty([rows, width]);
        using var scope = NewDisposeScope();
        var most = Math.Min(TileRows, Padded(rows));
        var (halves, sums, rowScales) = (empty([2 * most, depth], ScalarType.Int8), empty([2 * most, width], ScalarType.Int32), empty([most]));
        for (var begin = 0L; begin < rows; begin += TileRows)
        {
            var count = Math.Min(TileRows, rows - begin);
            var padded = Padded(count);
            var (tile, products) = padded == most ? (halves, sums) : (halves.narrow(0, 0, 2 * padded), sums.narrow(0, 0, 2 * padded));
            Split(x, begin, count, padded, tile, rowScales);
            IntegerProduct.MultiplyInto(products, tile, weight);
            Join(products, padded, rowScales, scales, bias, y, begin, count);
        }

        return y;
    }

    private static long Padded(long rows) => (rows + RowStep - 1) / RowStep * RowStep;

    private static void Split(Tensor x, long begin, long count, long padded, Tensor halves, Tensor rowScales)
    {
        var depth = x.shape[1];
        var (source, target, scales) = ((nint)(FloatMemory.Pointer(x) + (begin * depth)), Pointer(halves), (nint)FloatMemory.Pointer(rowScales));
        KernelThreads.For(padded, depth, (from, to) =>
        {
            for (var row = from; row < to; row++)
            {
                var high = (sbyte*)target + (row * depth);
                var low = (sbyte*)target + ((padded + row) * depth);
                if (row < count)
                {
                    ((float*)scales)[row] = SplitRow((float*)source + (row * depth), high, low, depth);
                }
                else
                {
                    NativeMemory.Clear(high, (nuint)depth);
                    NativeMemory.Clear(low, (nuint)depth);
                }
            }
        });
        GC.KeepAlive(x);
    }

    /// <summary>Writes the halves of a row and returns its scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float SplitRow(float* x, sbyte* high, sbyte* low, long depth)
    {
        var largest = Vector512<float>.Zero;
        for (long i = 0; i < depth; i += FloatMemory.Lanes)
        {
            largest = Vector512.Max(largest, Vector512.Abs(FloatMemory.Load(x + i, depth - i)));
        }

        var bound = VectorMath.Largest(largest);
        var factor = Vector512.Create(bound < Smallest ? 0 : Largest / bound);
        for (long i = 0; i < depth; i += FloatMemory.Lanes)
        {
            var whole = Vector512.ConvertToInt32(Vector512.Round(FloatMemory.Load(x + i, depth - i) * factor));
            var upper = (whole + Vector512.Create(128)) >> 8;
            Store(upper, high + i, depth - i);
            Store(whole - (upper << 8), low + i, depth - i);
        }

        return bound < Smallest ? 0 : bound / Largest;
    }

    private static void Join(Tensor sums, long padded, Tensor rowScales, Tensor scales, Tensor? bias, Tensor y, long begin, long count)
    {
        var width = y.shape[1];
        var (products, target) = (Pointer(sums), (nint)(FloatMemory.Pointer(y) + (begin * width)));
        var (ofRows, ofOutputs, added) = ((nint)FloatMemory.Pointer(rowScales), (nint)FloatMemory.Pointer(scales), bias is null ? 0 : (nint)FloatMemory.Pointer(bias));
        KernelThreads.For(count, width, (from, to) =>
        {
            for (var row = from; row < to; row++)
            {
                JoinRow(
                    (int*)products + (row * width), (int*)products + ((padded + row) * width), ((float*)ofRows)[row], (float*)ofOutputs, (float*)added,
                    (float*)target + (row * width), width);
            }
        });
        GC.KeepAlive(scales);
        GC.KeepAlive(bias);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void JoinRow(int* high, int* low, float rowScale, float* scales, float* bias, float* y, long width)
    {
        var (shift, ofRow) = (Vector512.Create(256f), Vector512.Create(rowScale));
        for (long i = 0; i < width; i += FloatMemory.Lanes)
        {
            var left = width - i;
            var whole = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(Load(high + i, left)), shift, Vector512.ConvertToSingle(Load(low + i, left)));
            var added = bias is null ? Vector512<float>.Zero : FloatMemory.Load(bias + i, left);
            FloatMemory.Store(Vector512.FusedMultiplyAdd(whole * ofRow, FloatMemory.Load(scales + i, left), added), y + i, left);
        }
    }

    /// <summary>Writes the lowest bytes of up to 16 numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store(Vector512<int> values, sbyte* target, long count)
    {
        var words = Vector256.Narrow(values.GetLower(), values.GetUpper());
        var bytes = Vector128.Narrow(words.GetLower(), words.GetUpper());
        if (count >= FloatMemory.Lanes)
        {
            bytes.Store(target);
            return;
        }

        for (var i = 0; i < count; i++)
        {
            target[i] = bytes[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Load(int* source, long count) => FloatMemory.Load((float*)source, count).AsInt32();

    private static nint Pointer(Tensor tensor) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(TensorBytes.View(tensor)));
}
