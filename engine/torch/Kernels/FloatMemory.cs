using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace SplitFrozen.Torch.Kernels;

/// <summary>The memory of contiguous f32 tensors, and vectors of it that may be cut off at the end of a row.</summary>
internal static unsafe class FloatMemory
{
    internal const int Lanes = 16;

    internal static float* Pointer(Tensor tensor)
    {
        if (tensor.dtype != ScalarType.Float32 || !tensor.is_contiguous())
        {
            throw new ArgumentException("The kernel needs a contiguous f32 tensor.", nameof(tensor));
        }

        return (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(TensorBytes.View(tensor)));
    }

    /// <summary>Up to 16 floats; lanes beyond <paramref name="count"/> hold <paramref name="filler"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Load(float* source, long count, float filler = 0)
    {
        if (count >= Lanes)
        {
            return Vector512.Load(source);
        }

        return Avx512F.IsSupported ? Avx512F.MaskLoad(source, First(count), Vector512.Create(filler)) : LoadTail(source, count, filler);
    }

    /// <summary>Writes the first <paramref name="count"/> lanes, at most 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store(Vector512<float> value, float* target, long count)
    {
        if (count >= Lanes)
        {
            value.Store(target);
        }
        else if (Avx512F.IsSupported)
        {
            Avx512F.MaskStore(target, First(count), value);
        }
        else
        {
            StoreTail(value, target, count);
        }
    }

    // Tails go through the same vector code as full vectors, so a number does not depend on where in a row it stands. By masks where the
    // processor has them: a call in a loop would make every full vector of it a detour through the stack.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> First(long count) => Vector512.LessThan(Vector512<int>.Indices, Vector512.Create((int)count)).AsSingle();

    private static Vector512<float> LoadTail(float* source, long count, float filler)
    {
        var buffer = stackalloc float[Lanes];
        new Span<float>(buffer, Lanes).Fill(filler);
        new ReadOnlySpan<float>(source, (int)count).CopyTo(new Span<float>(buffer, Lanes));
        return Vector512.Load(buffer);
    }

    private static void StoreTail(Vector512<float> value, float* target, long count)
    {
        var buffer = stackalloc float[Lanes];
        value.Store(buffer);
        new ReadOnlySpan<float>(buffer, (int)count).CopyTo(new Span<float>(target, (int)count));
    }
}
