using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace SplitFrozen.Torch.Kernels;

/// <summary>Sums over rows of contiguous f32 matrices.</summary>
public static unsafe class RowKernels
{
    /// <summary>Adds row t of <paramref name="rows"/> <c>[n, H]</c> to row <c>index[t]</c> of <paramref name="table"/> <c>[V, H]</c>, in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddRows(Tensor table, ReadOnlySpan<long> index, Tensor rows)
    {
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(rows);
        var (width, height) = (table.shape[1], table.shape[0]);
        var target = FloatMemory.Pointer(table);
        var source = FloatMemory.Pointer(rows);
        for (var t = 0; t < index.Length; t++)
        {
            if ((ulong)index[t] >= (ulong)height)
            {
                throw new ArgumentOutOfRangeException(nameof(index), $"Row {index[t]} is outside the table of {height} rows.");
            }

            var to = target + (index[t] * width);
            var from = source + (t * width);
            for (long i = 0; i < width; i += FloatMemory.Lanes)
            {
                FloatMemory.Store(FloatMemory.Load(to + i, width - i) + FloatMemory.Load(from + i, width - i), to + i, width - i);
            }
        }
    }
}
