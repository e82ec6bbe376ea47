using SplitFrozen.Contracts.Safetensors;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Files;

/// <summary>Element types of files and of tensors.</summary>
internal static class TensorElementType
{
    public static ElementType ToElementType(this ScalarType type) => type switch
    {
        ScalarType.Float64 => ElementType.Float64,
        ScalarType.Float32 => ElementType.Float32,
        ScalarType.Float16 => ElementType.Float16,
        ScalarType.BFloat16 => ElementType.BFloat16,
        ScalarType.Int64 => ElementType.Int64,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a type that is saved."),
    };

    public static ScalarType ToScalarType(this ElementType type) => type switch
    {
        ElementType.Float64 => ScalarType.Float64,
        ElementType.Float32 => ScalarType.Float32,
        ElementType.Float16 => ScalarType.Float16,
        ElementType.BFloat16 => ScalarType.BFloat16,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a floating-point type that is loaded."),
    };
}
