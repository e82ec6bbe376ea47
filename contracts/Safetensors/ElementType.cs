namespace SplitFrozen.Contracts.Safetensors;

/// <summary>The element types of the safetensors format that this system reads and writes.</summary>
public enum ElementType
{
    /// <summary>64-bit IEEE float (<c>F64</c>).</summary>
    Float64,

    /// <summary>32-bit IEEE float (<c>F32</c>).</summary>
    Float32,

    /// <summary>16-bit IEEE float (<c>F16</c>).</summary>
    Float16,

    /// <summary>bfloat16 (<c>BF16</c>).</summary>
    BFloat16,

    /// <summary>64-bit signed integer (<c>I64</c>).</summary>
    Int64,

    /// <summary>32-bit signed integer (<c>I32</c>).</summary>
    Int32,

    /// <summary>8-bit signed integer (<c>I8</c>).</summary>
    Int8,

    /// <summary>8-bit unsigned integer (<c>U8</c>).</summary>
    UInt8,

    /// <summary>Boolean, one byte (<c>BOOL</c>).</summary>
    Boolean,
}

/// <summary>Names and widths of <see cref="ElementType"/>.</summary>
public static class ElementTypes
{
    /// <summary>Bytes per element.</summary>
    public static int Bytes(this ElementType type) => type switch
    {
        ElementType.Float64 or ElementType.Int64 => 8,
        ElementType.Float32 or ElementType.Int32 => 4,
        ElementType.Float16 or ElementType.BFloat16 => 2,
        _ => 1,
    };

    /// <summary>The name in a safetensors header, for example <c>BF16</c>.</summary>
    public static string Name(this ElementType type) => type switch
    {
        ElementType.Float64 => "F64",
        ElementType.Float32 => "F32",
        ElementType.Float16 => "F16",
        ElementType.BFloat16 => "BF16",
        ElementType.Int64 => "I64",
        ElementType.Int32 => "I32",
        ElementType.Int8 => "I8",
        ElementType.UInt8 => "U8",
        ElementType.Boolean => "BOOL",
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not an element type."),
    };

    /// <summary>Reads a header's type name; false for a name that is not supported.</summary>
    public static bool TryParse(string name, out ElementType type)
    {
        foreach (var candidate in Enum.GetValues<ElementType>())
        {
            if (candidate.Name() == name)
            {
                type = candidate;
                return true;
            }
        }

        type = default;
        return false;
    }
}
