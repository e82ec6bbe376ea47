using System.Buffers.Binary;
using System.Text;
using SplitFrozen.Contracts.Safetensors;
using static SplitFrozen.Contracts.Tests.Safetensors.HeaderBytes;

namespace SplitFrozen.Contracts.Tests.Safetensors;

public sealed class SafetensorsHeaderTests
{
    [Fact]
    public void TryParse_FileWrittenByHand_GivesItsTensors()
    {
        // Written by hand after the format's description: metadata, a scalar, a matrix, padding with spaces.
        var json = """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]}}      """;
        var file = File(json, 16);

        Assert.True(SafetensorsHeader.TryParse(file, file.Length, out var header, out var error), error);
        Assert.Equal(8 + json.Length, header.DataStart);
        Assert.Equal(16, header.DataLength);
        Assert.Equal("pt", Assert.Single(header.Metadata).Value);
        var b = header.Entries["b"];
        Assert.Equal((ElementType.Float16, 4L, 16L, 6L), (b.Type, b.Begin, b.End, b.Elements));
        Assert.Equal([2, 3], b.Shape);
        Assert.Empty(header.Entries["a"].Shape);
    }

    [Fact]
    public void TryParse_TensorsOutOfOrderAndEmptyOnes_IsAccepted()
    {
        var json = Join(Tensor("late", "I8", "[3]", 8, 11), Tensor("early", "F64", "[1]", 0, 8), Tensor("none", "F32", "[0,7]", 8, 8));
        var file = File(json, 11);

        Assert.True(SafetensorsHeader.TryParse(file, file.Length, out var header, out var error), error);
        Assert.Equal(0, header.Entries["none"].Elements);
    }

    public static TheoryData<string, string, int, string> Lies => new()
    {
        { "no object", "[]", 0, "'{'" },
        { "not JSON", "{\"a\":", 0, "not valid JSON" },
        { "text after the object", "{}x", 0, "not valid JSON" },
        { "too deep", Tensor("a", "F32", "[[[[1]]]]", 0, 4), 4, "not valid JSON" },
        { "nested shape", Tensor("a", "F32", "[{}]", 0, 4), 4, "not valid JSON" },
        { "tensor is a number", """{"a":1}""", 0, "not described" },
        { "metadata twice", """{"__metadata__":{},"__metadata__":{}}""", 0, "two '__metadata__'" },
        { "metadata entry twice", """{"__metadata__":{"k":"1","k":"2"}}""", 0, "'k' is there twice" },
        { "metadata is a list", """{"__metadata__":[]}""", 0, "not a JSON object" },
        { "metadata value is a number", """{"__metadata__":{"k":1}}""", 0, "not a string" },
        { "tensor twice", Join(Tensor("a", "I8", "[1]", 0, 1), Tensor("a", "I8", "[1]", 1, 2)), 2, "two tensors named 'a'" },
        { "dtype missing", """{"a":{"shape":[],"data_offsets":[0,4]}}""", 4, "no 'dtype'" },
        { "shape missing", """{"a":{"dtype":"F32","data_offsets":[0,4]}}""", 4, "no 'shape'" },
        { "offsets missing", """{"a":{"dtype":"F32","shape":[]}}""", 4, "no 'data_offsets'" },
        { "dtype twice", """{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4, "there twice" },
        { "unknown field", """{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}}""", 4, "unknown" },
        { "dtype is a number", """{"a":{"dtype":1,"shape":[],"data_offsets":[0,4]}}""", 4, "not a string" },
        { "unknown type", Tensor("a", "F8_E4M3", "[4]", 0, 4), 4, "'F8_E4M3', which is not supported" },
        { "negative extent", Tensor("a", "F32", "[-1]", 0, 4), 4, "whole number" },
        { "fractional extent", Tensor("a", "F32", "[1.5]", 0, 4), 4, "whole number" },
        { "extent beyond 64 bits", Tensor("a", "F32", "[99999999999999999999]", 0, 4), 4, "whole number" },
        { "shape overflows", Tensor("a", "F32", "[4294967296,4294967296,4294967296]", 0, 4), 4, "more bytes than a file" },
        { "shape wraps to the size", Tensor("a", "F32", "[4611686018427387905]", 0, 4), 4, "more bytes than a file" },
        { "rank too high", Tensor("a", "I8", "[" + string.Join(",", Enumerable.Repeat(1, 17)) + "]", 0, 1), 1, "more than 16" },
        { "three offsets", """{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1,2]}}""", 1, "begin and an end" },
        { "offsets backwards", Tensor("a", "I8", "[1]", 1, 0), 1, "begin and an end" },
        { "size is not shape times width", Tensor("a", "F32", "[2]", 0, 4), 4, "8 bytes, but its offsets span 4" },
        { "overlap", Join(Tensor("a", "I8", "[4]", 0, 4), Tensor("b", "I8", "[4]", 2, 6)), 6, "overlaps" },
        { "same place", Join(Tensor("a", "I8", "[4]", 0, 4), Tensor("b", "I8", "[4]", 0, 4)), 4, "overlaps" },
        { "hole", Join(Tensor("a", "I8", "[4]", 0, 4), Tensor("b", "I8", "[4]", 6, 10)), 10, "hole of 2 bytes" },
        { "hole at the start", Tensor("a", "I8", "[4]", 4, 8), 8, "hole of 4 bytes" },
        { "beyond the end", Tensor("a", "I8", "[8]", 0, 8), 4, "cut off" },
        { "bytes left over", Tensor("a", "I8", "[4]", 0, 4), 5, "1 bytes after the last" },
        { "lone surrogate", """{"\ud800":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}""", 1, "Unicode" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void TryParse_HeaderThatLies_NamesTheLie(string what, string json, int dataBytes, string expected)
    {
        var file = File(json, dataBytes);

        Assert.False(SafetensorsHeader.TryParse(file, file.Length, out var header, out var error), what);
        Assert.Null(header);
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public void TryParse_InvalidUtf8_IsRefused()
    {
        var json = Encoding.UTF8.GetBytes(Tensor("a", "I8", "[1]", 0, 1));
        json[2] = 0xFF;
        var file = File(json, 1);

        Assert.False(SafetensorsHeader.TryParse(file, file.Length, out _, out var error));
        Assert.NotEmpty(error);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void TryParse_FileShorterThanThePrefix_IsRefused(int length)
    {
        Assert.False(SafetensorsHeader.TryParse(new byte[length], length, out _, out var error));
        Assert.Contains("too few", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ulong.MaxValue, "at most 100000000")]
    [InlineData(100_000_001UL, "at most 100000000")]
    [InlineData(50_000_000UL, "the file ends 92 bytes")]
    [InlineData(93UL, "the file ends 92 bytes")]
    [InlineData(0UL, "'{'")]
    public void TryParse_HeaderLengthThatLies_IsRefused(ulong length, string expected)
    {
        var file = new byte[100];
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);

        Assert.False(SafetensorsHeader.TryParse(file, file.Length, out _, out var error));
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public void TryParse_HeaderBeyondTheCallersBound_IsRefused()
    {
        var file = File("{}" + new string(' ', 100), 0);

        Assert.True(SafetensorsHeader.TryParse(file, file.Length, out _, out _));
        Assert.False(SafetensorsHeader.TryParse(file, file.Length, out _, out var error, maximumHeaderBytes: 101));
        Assert.Contains("at most 101", error, StringComparison.Ordinal);
    }

    public static TheoryData<byte[], string> Foreign => new()
    {
        { [.. "PK\x03\x04"u8, 0, 0, 8, 8, .. new byte[64]], "zip archive" },
        { [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, .. new byte[64]], "pickle" },
        { [.. "version https://git-lfs.github.com/spec/v1\noid sha256:00"u8], "git lfs pull" },
        { [.. "GGUF"u8, 3, 0, 0, 0, 1, 0, 0, 0], "GGUF" },
    };

    [Theory]
    [MemberData(nameof(Foreign))]
    public void TryParse_AnotherFormat_SaysWhichAndWhatToDo(byte[] file, string expected)
    {
        Assert.False(SafetensorsHeader.TryParse(file, file.Length, out _, out var error));
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_StreamOfAFile_ReadsOnlyTheHeader()
    {
        using var stream = new MemoryStream(File(Tensor("a", "I8", "[1000]", 0, 1000), 1000));

        var header = SafetensorsHeader.Read(stream);

        Assert.Equal(1000, header.Entries["a"].ByteLength);
        Assert.Equal(header.DataStart, stream.Position);
    }

    [Fact]
    public void ReadFile_TruncatedFile_NamesTheFile()
    {
        var path = Path.GetTempFileName();
        try
        {
            System.IO.File.WriteAllBytes(path, File(Tensor("a", "I8", "[10]", 0, 10), 9));
            var exception = Assert.Throws<SafetensorsException>(() => SafetensorsHeader.ReadFile(path));
            Assert.StartsWith(path, exception.Message, StringComparison.Ordinal);
            Assert.Contains("cut off", exception.Message, StringComparison.Ordinal);
        }
        finally
        {
            System.IO.File.Delete(path);
        }
    }

    [Fact]
    public void TryParse_EveryPrefixOfAGoodFile_IsRefused()
    {
        var file = File(Tensor("a", "F32", "[2]", 0, 8), 8);

        for (var length = 0; length < file.Length; length++)
        {
            Assert.False(SafetensorsHeader.TryParse(file.AsSpan(0, length), length, out _, out var error));
            Assert.NotEmpty(error);
        }
    }
}
