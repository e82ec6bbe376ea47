using SplitFrozen.Contracts.Wire;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>Turns hidden states into the bytes of a message or cache entry, and back.</summary>
public static class HiddenStateCodec
{
    private const double LargestInt8 = 127;

    /// <summary>
    /// Bytes of hidden states <c>[ΣT, H]</c> in the wire type, row-major and little-endian. For int8 every row x is stored as
    /// <c>round(x / s)</c> with its own <c>s = max|x| / 127</c>, and <c>scales</c> holds s as f32 <c>[ΣT]</c>; else it is empty.
    /// </summary>
    public static (byte[] States, byte[] Scales) Encode(Tensor hidden, WireType type)
    {
        using var rows = EncodeRows(hidden, type);
        var (states, scales) = (new byte[rows.StateBytes], new byte[rows.ScaleBytes]);
        rows.CopyTo(states, scales);
        return (states, scales);
    }

    /// <summary>As <see cref="Encode"/>, in libtorch's memory. The caller owns the result.</summary>
    public static EncodedRows EncodeRows(Tensor hidden, WireType type)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        if (type != WireType.Int8)
        {
            return new EncodedRows(hidden.to(TorchType(type), copy: true).contiguous().DetachFromDisposeScope(), null);
        }

        var rows = hidden.to(ScalarType.Float32);
        var scales = rows.abs().amax([1L], keepdim: true).DivideInPlace(LargestInt8);
        var divisors = where(scales.EqualTo(0), ones_like(scales), scales);
        return new EncodedRows((rows / divisors).round_().to(ScalarType.Int8).DetachFromDisposeScope(), scales.DetachFromDisposeScope());
    }

    /// <summary>Hidden states f32 <c>[tokens, width]</c> from their bytes. The caller owns the tensor.</summary>
    /// <exception cref="ArgumentException">The number of bytes does not fit.</exception>
    public static Tensor Decode(ReadOnlySpan<byte> states, ReadOnlySpan<byte> scales, long tokens, long width, WireType type)
    {
        LibtorchLoader.Load();
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var stored = TensorBytes.FromBytes(states, [tokens, width], TorchType(type));
        var hidden = type == WireType.Float32 ? stored : stored.to(ScalarType.Float32);
        if (type == WireType.Int8)
        {
            _ = hidden.mul_(TensorBytes.FromBytes(scales, [tokens, 1], ScalarType.Float32));
        }

        return hidden.MoveToOuterDisposeScope();
    }

    private static ScalarType TorchType(WireType type) => type switch
    {
        WireType.Float32 => ScalarType.Float32,
        WireType.Float16 => ScalarType.Float16,
        WireType.BFloat16 => ScalarType.BFloat16,
        WireType.Int8 => ScalarType.Int8,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a wire type."),
    };
}
