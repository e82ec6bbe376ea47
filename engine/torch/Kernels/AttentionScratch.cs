using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SplitFrozen.Torch.Kernels;

/// <summary>
/// Working memory for one sequence and head of <see cref="AttentionKernel"/>: operands packed so that the inner loops run over
/// adjacent floats. Lengths are padded to whole blocks of 16, with zeros.
/// </summary>
internal readonly unsafe ref struct AttentionScratch
{
    internal readonly int Width;
    internal readonly int Length;
    internal readonly int Padded;
    internal readonly float Scale;

    /// <summary>Keys <c>[d, padded]</c>.</summary>
    internal readonly float* KeysTransposed;

    /// <summary>In the forward pass values, in the backward pass keys, <c>[padded, d]</c>.</summary>
    internal readonly float* Values;

    /// <summary>A block of queries, scaled, <c>[16, d]</c>.</summary>
    internal readonly float* Queries;

    /// <summary>A block of results <c>[16, d]</c>.</summary>
    internal readonly float* Block;

    /// <summary>A block of scores <c>[16, padded]</c>.</summary>
    internal readonly float* Scores;

    /// <summary>Values <c>[d, padded]</c>; this and what follows exists in the backward pass only.</summary>
    internal readonly float* ValuesTransposed;

    /// <summary>Gradients of a block of results <c>[16, d]</c>.</summary>
    internal readonly float* OutputGradients;

    /// <summary>Gradients of a block of scores <c>[16, padded]</c>.</summary>
    internal readonly float* ScoreGradients;

    /// <summary>Sums of key gradients <c>[padded, d]</c>.</summary>
    internal readonly float* KeyGradients;

    /// <summary>Sums of value gradients <c>[padded, d]</c>.</summary>
    internal readonly float* ValueGradients;

    internal AttentionScratch(float* memory, int width, int length)
    {
        (Width, Length, Padded) = (width, length, Pad(length));
        Scale = (float)(1 / Math.Sqrt(width));
        long matrix = (long)width * Padded, block = (long)width * AttentionKernel.BlockRows, scores = (long)Padded * AttentionKernel.BlockRows;
        KeysTransposed = memory;
        Values = KeysTransposed + matrix;
        Queries = Values + matrix;
        Block = Queries + block;
        Scores = Block + block;
        ValuesTransposed = Scores + scores;
        OutputGradients = ValuesTransposed + matrix;
        ScoreGradients = OutputGradients + block;
        KeyGradients = ScoreGradients + scores;
        ValueGradients = KeyGradients + matrix;
    }

    /// <summary>Floats that the longest sequence needs in the forward pass.</summary>
    internal static long ForwardFloats(AttentionShape shape)
    {
        var padded = (long)Pad(shape.Lengths.Max());
        return (2 * padded * shape.HeadWidth) + (AttentionKernel.BlockRows * (padded + (2 * shape.HeadWidth)));
    }

    /// <summary>Floats that the longest sequence needs in the backward pass.</summary>
    internal static long BackwardFloats(AttentionShape shape)
    {
        var padded = (long)Pad(shape.Lengths.Max());
        return (5 * padded * shape.HeadWidth) + (AttentionKernel.BlockRows * ((2 * padded) + (3 * shape.HeadWidth)));
    }

    /// <summary>Packs the sequence's rows as columns, zeros behind them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void PackTransposed(float* target, float* source, long stride)
    {
        for (var row = 0; row < Length; row++)
        {
            var from = source + (row * stride);
            PrefetchNextHead(from);
            for (var column = 0; column < Width; column++)
            {
                target[((long)column * Padded) + row] = from[column];
            }
        }

        for (var column = 0; column < Width; column++)
        {
            new Span<float>(target + ((long)column * Padded) + Length, Padded - Length).Clear();
        }
    }

    /// <summary>Packs rows, multiplied by a factor, zeros behind them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void PackRows(float* target, float* source, long stride, int rows, int padded, float factor)
    {
        for (var row = 0; row < rows; row++)
        {
            PrefetchNextHead(source + (row * stride));
        }

        Copy(source, stride, target, Width, rows, factor);
        new Span<float>(target + ((long)rows * Width), (padded - rows) * Width).Clear();
    }

    /// <summary>Copies packed rows out, multiplied by a factor.</summary>
    internal void CopyOut(float* source, float* target, long stride, int rows, float factor) => Copy(source, Width, target, stride, rows, factor);

    /// <summary>Sets the sums of key and value gradients to zero.</summary>
    internal void ClearGradients()
    {
        new Span<float>(KeyGradients, Padded * Width).Clear();
        new Span<float>(ValueGradients, Padded * Width).Clear();
    }

    // The next head's part of a row lies right behind this one's, but rows are pages apart, which hardware does not foresee.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void PrefetchNextHead(float* row)
    {
        if (Sse.IsSupported)
        {
            for (var column = 0; column < Width; column += FloatMemory.Lanes)
            {
                Sse.Prefetch1(row + Width + column);
            }
        }
    }

    private static int Pad(int length) => (length + AttentionKernel.BlockRows - 1) / AttentionKernel.BlockRows * AttentionKernel.BlockRows;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Copy(float* source, long sourceStride, float* target, long targetStride, int rows, float factor)
    {
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < Width; column += FloatMemory.Lanes)
            {
                (Vector512.Load(source + (row * sourceStride) + column) * factor).Store(target + (row * targetStride) + column);
            }
        }
    }
}
