using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SplitFrozen.Torch.Kernels;

/// <summary>
/// Makes int8 weights: every output's weights w become <c>round(w / s)</c>, −127 to 127, with <c>s = max|w| / 127</c> of its own. The matrix comes in
/// slices of rows, twice, so that it need never be held as f32.
/// </summary>
public sealed unsafe class Int8Weights : IDisposable
{
    private const float LargestInt8 = 127;

    private readonly bool _rowsAreOutputs;
    private readonly float[] _largest;

    /// <summary>Makes an empty matrix.</summary>
    /// <param name="inputs">Inputs of the layer.</param>
    /// <param name="outputs">Outputs of the layer.</param>
    /// <param name="rowsAreOutputs">Whether the matrix comes as <c>[out, in]</c>; else as <c>[in, out]</c>.</param>
    public Int8Weights(long inputs, long outputs, bool rowsAreOutputs)
    {
        _rowsAreOutputs = rowsAreOutputs;
        _largest = new float[outputs];
        Values = empty([outputs, inputs], ScalarType.Int8).DetachFromDisposeScope();
        Scales = empty([outputs]).DetachFromDisposeScope();
    }

    /// <summary>int8 <c>[out, in]</c>.</summary>
    public Tensor Values { get; }

    /// <summary>f32 <c>[out]</c>.</summary>
    public Tensor Scales { get; }

    /// <summary>First time through: looks at a slice of f32 rows, from row <paramref name="first"/> on.</summary>
    public void Measure(Tensor slice, long first)
    {
        ArgumentNullException.ThrowIfNull(slice);
        var (rows, columns) = (slice.shape[0], slice.shape[1]);
        var source = FloatMemory.Pointer(slice);
        fixed (float* largest = _largest)
        {
            for (long row = 0; row < rows; row++, source += columns)
            {
                if (_rowsAreOutputs)
                {
                    largest[first + row] = LargestOf(source, columns);
                }
                else
                {
                    Raise(largest, source, columns);
                }
            }
        }

        GC.KeepAlive(slice);
    }

    /// <summary>Second time: writes a slice.</summary>
    public void Write(Tensor slice, long first)
    {
        ArgumentNullException.ThrowIfNull(slice);
        if (first == 0)
        {
            WriteScales();
        }

        var (rows, columns, inputs) = (slice.shape[0], slice.shape[1], Values.shape[1]);
        var source = FloatMemory.Pointer(slice);
        fixed (float* factors = _largest)
        fixed (byte* bytes = TensorBytes.View(Values))
        {
            var target = (sbyte*)bytes;
            if (_rowsAreOutputs)
            {
                for (long row = 0; row < rows; row++)
                {
                    WriteRow(source + (row * columns), factors[first + row], target + ((first + row) * inputs), columns);
                }
            }
            else
            {
                WriteTransposed(source, factors, target + first, rows, columns, inputs);
            }
        }

        GC.KeepAlive(slice);
    }

    /// <summary>The numbers that the weights stand for, in the form in which the matrix came. The caller owns the tensor.</summary>
    public Tensor ToMatrix(ScalarType type)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var numbers = Values.to(type).mul_(Scales.to(type).unsqueeze(1));
        return (_rowsAreOutputs ? numbers : numbers.t().contiguous()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        Scales.Dispose();
    }

    // From here on _largest holds the reciprocals of the scales.
    private void WriteScales()
    {
        var scales = MemoryMarshal.Cast<byte, float>(TensorBytes.View(Scales));
        for (var output = 0; output < _largest.Length; output++)
        {
            scales[output] = _largest[output] / LargestInt8;
            _largest[output] = _largest[output] == 0 ? 0 : LargestInt8 / _largest[output];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float LargestOf(float* values, long count)
    {
        var largest = Vector512<float>.Zero;
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            largest = Vector512.Max(largest, Vector512.Abs(FloatMemory.Load(values + i, count - i)));
        }

        return VectorMath.Largest(largest);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Raise(float* largest, float* values, long count)
    {
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            var raised = Vector512.Max(FloatMemory.Load(largest + i, count - i), Vector512.Abs(FloatMemory.Load(values + i, count - i)));
            FloatMemory.Store(raised, largest + i, count - i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WriteRow(float* values, float factor, sbyte* target, long count)
    {
        for (long i = 0; i < count; i += FloatMemory.Lanes)
        {
            var whole = Vector512.ConvertToInt32(Vector512.Round(FloatMemory.Load(values + i, count - i) * factor));
            Int8Rows.Store(whole, target + i, count - i);
        }
    }

    // Sixteen outputs at a time: their bytes of neighbouring inputs share cache lines.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WriteTransposed(float* values, float* factors, sbyte* target, long rows, long columns, long inputs)
    {
        var bytes = stackalloc sbyte[FloatMemory.Lanes];
        for (long column = 0; column < columns; column += FloatMemory.Lanes)
        {
            var count = Math.Min(FloatMemory.Lanes, columns - column);
            var factor = FloatMemory.Load(factors + column, count);
            for (long row = 0; row < rows; row++)
            {
                var whole = Vector512.ConvertToInt32(Vector512.Round(FloatMemory.Load(values + (row * columns) + column, count) * factor));
                Int8Rows.Store(whole, bytes, FloatMemory.Lanes);
                for (var lane = 0; lane < count; lane++)
                {
                    target[((column + lane) * inputs) + row] = bytes[lane];
                }
            }
        }
    }
}
