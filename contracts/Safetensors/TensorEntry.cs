namespace SplitFrozen.Contracts.Safetensors;

/// <summary>One tensor of a safetensors file, as its header declares it.</summary>
/// <param name="Name">Name, unique in the file.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Extent of every dimension, each at least 0; empty for a scalar.</param>
/// <param name="Begin">First byte, counted from <see cref="SafetensorsHeader.DataStart"/>.</param>
/// <param name="End">The byte after the last one, counted from <see cref="SafetensorsHeader.DataStart"/>.</param>
public sealed record TensorEntry(string Name, ElementType Type, long[] Shape, long Begin, long End)
{
    /// <summary>Number of bytes: elements times element width.</summary>
    public long ByteLength => End - Begin;

    /// <summary>Number of elements, the product of <see cref="Shape"/>.</summary>
    public long Elements => ByteLength / Type.Bytes();
}
