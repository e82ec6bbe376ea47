using System.Buffers.Binary;
using System.Text.Json;
using SplitFrozen.Contracts.Safetensors;

namespace SplitFrozen.Contracts.Tests.Safetensors;

public sealed class SafetensorsWriterTests
{
    [Fact]
    public void WriteTo_SomeTensors_IsReadableByHand()
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt \"quoted\" é");
        writer.Add("bytes", ElementType.Int8, [3], new byte[] { 1, 2, 3 });
        writer.Add("floats", ElementType.Float32, [1, 2], new byte[] { 0, 0, 128, 63, 0, 0, 0, 64 });
        writer.Add("id", ElementType.Int64, [], stream => stream.Write([7, 0, 0, 0, 0, 0, 0, 0]));

        var file = Write(writer);

        var headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        Assert.Equal(0, (8 + headerLength) % 8);
        using var json = JsonDocument.Parse(file.AsMemory(8, headerLength));
        Assert.Equal(["__metadata__", "id", "floats", "bytes"], json.RootElement.EnumerateObject().Select(property => property.Name));
        Assert.Equal("pt \"quoted\" é", json.RootElement.GetProperty("__metadata__").GetProperty("format").GetString());
        var floats = json.RootElement.GetProperty("floats");
        Assert.Equal("F32", floats.GetProperty("dtype").GetString());
        Assert.Equal("[1,2]", floats.GetProperty("shape").GetRawText());
        var begin = 8 + headerLength + floats.GetProperty("data_offsets")[0].GetInt32();
        Assert.Equal(1f, BinaryPrimitives.ReadSingleLittleEndian(file.AsSpan(begin)));
        Assert.Equal(2f, BinaryPrimitives.ReadSingleLittleEndian(file.AsSpan(begin + 4)));
        Assert.Equal(new byte[] { 1, 2, 3 }, file[^3..]);
        Assert.Equal(8 + headerLength + 19, file.Length);
    }

    [Fact]
    public void WriteTo_AnyOrderOfCalls_GivesTheSameBytes()
    {
        var forward = new SafetensorsWriter();
        forward.SetMetadata("b", "2");
        forward.SetMetadata("a", "1");
        forward.Add("x", ElementType.Float16, [1], new byte[2]);
        forward.Add("y", ElementType.Float16, [2], new byte[4]);
        var backward = new SafetensorsWriter();
        backward.Add("y", ElementType.Float16, [2], new byte[4]);
        backward.Add("x", ElementType.Float16, [1], new byte[2]);
        backward.SetMetadata("a", "1");
        backward.SetMetadata("b", "2");

        Assert.Equal(Write(forward), Write(backward));
    }

    [Fact]
    public void WriteTo_NoTensors_ParsesAsEmpty()
    {
        var file = Write(new SafetensorsWriter());

        Assert.True(SafetensorsHeader.TryParse(file, file.Length, out var header, out var error), error);
        Assert.Empty(header.Entries);
        Assert.Empty(header.Metadata);
    }

    [Fact]
    public void WriteTo_ThenParse_GivesTheSameTensors()
    {
        var writer = new SafetensorsWriter();
        foreach (var type in Enum.GetValues<ElementType>())
        {
            writer.Add($"t.{type.Name()}", type, [2, 0, 3], ReadOnlyMemory<byte>.Empty);
            writer.Add($"u.{type.Name()}", type, [5], new byte[5 * type.Bytes()]);
        }

        var file = Write(writer);

        Assert.True(SafetensorsHeader.TryParse(file, file.Length, out var header, out var error), error);
        foreach (var type in Enum.GetValues<ElementType>())
        {
            var entry = header.Entries[$"u.{type.Name()}"];
            Assert.Equal(type, entry.Type);
            Assert.Equal(0, (header.DataStart + entry.Begin) % type.Bytes());
            Assert.Equal(5, entry.Elements);
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public void WriteTo_CallbackOfTheWrongSize_Throws(int written)
    {
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.Int8, [4], stream => stream.Write(new byte[written]));

        Assert.Throws<InvalidOperationException>(() => Write(writer));
    }

    [Fact]
    public void Add_BadTensor_Throws()
    {
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.Int8, [1], new byte[1]);

        Assert.Throws<ArgumentException>(() => writer.Add("a", ElementType.Int8, [1], new byte[1]));
        Assert.Throws<ArgumentException>(() => writer.Add("b", ElementType.Int8, [1], new byte[2]));
        Assert.Throws<ArgumentException>(() => writer.Add("c", ElementType.Int8, [-1], new byte[1]));
        Assert.Throws<ArgumentException>(() => writer.Add("__metadata__", ElementType.Int8, [1], new byte[1]));
        Assert.Throws<OverflowException>(() => writer.Add("d", ElementType.Float64, [long.MaxValue, 2], _ => { }));
    }

    private static byte[] Write(SafetensorsWriter writer)
    {
        using var stream = new MemoryStream();
        writer.WriteTo(stream);
        return stream.ToArray();
    }
}
