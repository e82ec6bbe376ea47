using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SplitFrozen.Torch.Kernels;

/// <summary>
/// Products of small matrices that stay in the cache: tiles of 8 rows by 32 columns in registers, one pass over the depth.
/// Every element is summed in order of the depth, whatever the sizes.
/// </summary>
internal static unsafe class SmallProduct
{
    internal const int TileRows = 8;

    /// <summary>
    /// <c>C[m, n] = Σₖ A(m, k) B[k, n]</c>, or <c>+=</c>; rows are a multiple of 8, columns of 16.
    /// </summary>
    /// <param name="a">A; element (m, k) lies at <c>m · aRow + k · aDepth</c>.</param>
    /// <param name="aRow">Floats from row to row of A.</param>
    /// <param name="aDepth">Floats from one k to the next in A.</param>
    /// <param name="b">B, row-major.</param>
    /// <param name="bRow">Floats from row to row of B.</param>
    /// <param name="c">C, row-major.</param>
    /// <param name="cRow">Floats from row to row of C.</param>
    /// <param name="rows">Rows of C.</param>
    /// <param name="columns">Columns of C.</param>
    /// <param name="depth">Number of terms.</param>
    /// <param name="accumulate">Whether to add to C.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply(
        float* a, long aRow, long aDepth, float* b, long bRow, float* c, long cRow, long rows, long columns, long depth, bool accumulate)
    {
        for (long row = 0; row < rows; row += TileRows)
        {
            long column = 0;
            for (; column + (2 * FloatMemory.Lanes) <= columns; column += 2 * FloatMemory.Lanes)
            {
                WideTile(a + (row * aRow), aRow, aDepth, b + column, bRow, c + (row * cRow) + column, cRow, depth, accumulate);
            }

            if (column < columns)
            {
                NarrowTile(a + (row * aRow), aRow, aDepth, b + column, bRow, c + (row * cRow) + column, cRow, depth, accumulate);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WideTile(float* a, long aRow, long aDepth, float* b, long bRow, float* c, long cRow, long depth, bool accumulate)
    {
        float* a0 = a, a1 = a + aRow, a2 = a1 + aRow, a3 = a2 + aRow, a4 = a3 + aRow, a5 = a4 + aRow, a6 = a5 + aRow, a7 = a6 + aRow;
        Vector512<float> l0 = default, l1 = default, l2 = default, l3 = default, l4 = default, l5 = default, l6 = default, l7 = default;
        Vector512<float> r0 = default, r1 = default, r2 = default, r3 = default, r4 = default, r5 = default, r6 = default, r7 = default;
        for (long k = 0, at = 0; k < depth; k++, at += aDepth, b += bRow)
        {
            var (left, right) = (Vector512.Load(b), Vector512.Load(b + FloatMemory.Lanes));
            var x = Vector512.Create(a0[at]);
            (l0, r0) = (Vector512.FusedMultiplyAdd(x, left, l0), Vector512.FusedMultiplyAdd(x, right, r0));
            x = Vector512.Create(a1[at]);
            (l1, r1) = (Vector512.FusedMultiplyAdd(x, left, l1), Vector512.FusedMultiplyAdd(x, right, r1));
            x = Vector512.Create(a2[at]);
            (l2, r2) = (Vector512.FusedMultiplyAdd(x, left, l2), Vector512.FusedMultiplyAdd(x, right, r2));
            x = Vector512.Create(a3[at]);
            (l3, r3) = (Vector512.FusedMultiplyAdd(x, left, l3), Vector512.FusedMultiplyAdd(x, right, r3));
            x = Vector512.Create(a4[at]);
            (l4, r4) = (Vector512.FusedMultiplyAdd(x, left, l4), Vector512.FusedMultiplyAdd(x, right, r4));
            x = Vector512.Create(a5[at]);
            (l5, r5) = (Vector512.FusedMultiplyAdd(x, left, l5), Vector512.FusedMultiplyAdd(x, right, r5));
            x = Vector512.Create(a6[at]);
            (l6, r6) = (Vector512.FusedMultiplyAdd(x, left, l6), Vector512.FusedMultiplyAdd(x, right, r6));
            x = Vector512.Create(a7[at]);
            (l7, r7) = (Vector512.FusedMultiplyAdd(x, left, l7), Vector512.FusedMultiplyAdd(x, right, r7));
        }

        Put(l0, c, accumulate);
        Put(r0, c + FloatMemory.Lanes, accumulate);
        Put(l1, c += cRow, accumulate);
        Put(r1, c + FloatMemory.Lanes, accumulate);
        Put(l2, c += cRow, accumulate);
        Put(r2, c + FloatMemory.Lanes, accumulate);
        Put(l3, c += cRow, accumulate);
        Put(r3, c + FloatMemory.Lanes, accumulate);
        Put(l4, c += cRow, accumulate);
        Put(r4, c + FloatMemory.Lanes, accumulate);
        Put(l5, c += cRow, accumulate);
        Put(r5, c + FloatMemory.Lanes, accumulate);
        Put(l6, c += cRow, accumulate);
        Put(r6, c + FloatMemory.Lanes, accumulate);
        Put(l7, c += cRow, accumulate);
        Put(r7, c + FloatMemory.Lanes, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void NarrowTile(float* a, long aRow, long aDepth, float* b, long bRow, float* c, long cRow, long depth, bool accumulate)
    {
        float* a0 = a, a1 = a + aRow, a2 = a1 + aRow, a3 = a2 + aRow, a4 = a3 + aRow, a5 = a4 + aRow, a6 = a5 + aRow, a7 = a6 + aRow;
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        for (long k = 0, at = 0; k < depth; k++, at += aDepth, b += bRow)
        {
            var right = Vector512.Load(b);
            s0 = Vector512.FusedMultiplyAdd(Vector512.Create(a0[at]), right, s0);
            s1 = Vector512.FusedMultiplyAdd(Vector512.Create(a1[at]), right, s1);
            s2 = Vector512.FusedMultiplyAdd(Vector512.Create(a2[at]), right, s2);
            s3 = Vector512.FusedMultiplyAdd(Vector512.Create(a3[at]), right, s3);
            s4 = Vector512.FusedMultiplyAdd(Vector512.Create(a4[at]), right, s4);
            s5 = Vector512.FusedMultiplyAdd(Vector512.Create(a5[at]), right, s5);
            s6 = Vector512.FusedMultiplyAdd(Vector512.Create(a6[at]), right, s6);
            s7 = Vector512.FusedMultiplyAdd(Vector512.Create(a7[at]), right, s7);
        }

        Put(s0, c, accumulate);
        Put(s1, c += cRow, accumulate);
        Put(s2, c += cRow, accumulate);
        Put(s3, c += cRow, accumulate);
        Put(s4, c += cRow, accumulate);
        Put(s5, c += cRow, accumulate);
        Put(s6, c += cRow, accumulate);
        Put(s7, c += cRow, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(Vector512<float> value, float* target, bool accumulate) =>
        (accumulate ? value + Vector512.Load(target) : value).Store(target);
}
