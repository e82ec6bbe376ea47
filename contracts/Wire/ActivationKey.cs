using SplitFrozen.Contracts.Safetensors;

namespace SplitFrozen.Contracts.Wire;

/// <summary>
/// The content key of one sample's cached activation. Equal keys mean equal hidden states and labels, in every epoch and
/// every run: same model bytes, same depth, same element type, same tokens and labels, and the same device where it vouches for them.
/// </summary>
/// <param name="ModelFingerprint">Fingerprint of config and frozen weights, lower-case hex.</param>
/// <param name="Depth">Number of blocks already applied: the device's cut.</param>
/// <param name="WireType">Element type in which the hidden states are kept.</param>
/// <param name="Digest">Digest of the sample's tokens and labels.</param>
/// <param name="Owner">
/// The device, where it holds data of its own: it says itself what a digest stands for, and must not say it for others. Null for rows of a run's files.
/// </param>
public readonly record struct ActivationKey(string ModelFingerprint, int Depth, WireType WireType, ContentDigest Digest, string? Owner = null)
{
    /// <summary>The key's text form, used as the cache key and in step messages.</summary>
    public override string ToString() => $"act:{ModelFingerprint[..16]}:{Depth}:{WireType.Name()}:{Digest}{(Owner is null ? "" : ":" + Owner)}";
}

/// <summary>128-bit digest (XXH128) of a sample's tokens and labels; 32 hex digits in text.</summary>
public readonly record struct ContentDigest(UInt128 Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value.ToString("x32");
}

/// <summary>How hidden states travel and are cached.</summary>
public enum WireType
{
    /// <summary>32-bit float: exact.</summary>
    Float32,

    /// <summary>16-bit float: half the bytes; the default.</summary>
    Float16,

    /// <summary>bfloat16: half the bytes, the range of float32.</summary>
    BFloat16,

    /// <summary>8-bit integers with one float32 scale per token: a quarter of the bytes.</summary>
    Int8,
}

/// <summary>Names and element types of <see cref="WireType"/>.</summary>
public static class WireTypes
{
    /// <summary>The short name used in specs, keys and metadata: <c>f32</c>, <c>f16</c>, <c>bf16</c> or <c>int8</c>.</summary>
    public static string Name(this WireType type) => type switch
    {
        WireType.Float32 => "f32",
        WireType.Float16 => "f16",
        WireType.BFloat16 => "bf16",
        WireType.Int8 => "int8",
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a wire type."),
    };

    /// <summary>Bytes of one token's hidden states of a width, the scale of int8 included.</summary>
    public static long BytesPerToken(this WireType type, int width) =>
        ((long)width * type.ElementType().Bytes()) + (type == WireType.Int8 ? sizeof(float) : 0);

    /// <summary>The safetensors element type of the hidden states.</summary>
    public static Safetensors.ElementType ElementType(this WireType type) => type switch
    {
        WireType.Float32 => Safetensors.ElementType.Float32,
        WireType.Float16 => Safetensors.ElementType.Float16,
        WireType.BFloat16 => Safetensors.ElementType.BFloat16,
        WireType.Int8 => Safetensors.ElementType.Int8,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a wire type."),
    };
}
