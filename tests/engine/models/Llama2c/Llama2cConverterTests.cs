using System.Buffers.Binary;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models;
using SplitFrozen.Models.Llama2c;

namespace SplitFrozen.Tests.Engine.Models.Llama2c;

public sealed class Llama2cConverterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Convert_SmallModel_WritesEveryTensorAndItsConfiguration(bool untied)
    {
        var folder = Convert(Llama2cFiles.Model(untied), Llama2cFiles.Tokenizer());

        var header = SafetensorsHeader.ReadFile(Path.Combine(folder, "model.safetensors"));
        Assert.Equal(2 + (9 * Llama2cFiles.Blocks) + (untied ? 1 : 0), header.Entries.Count);
        Assert.Equal([4, 8], header.Entries["model.layers.1.self_attn.k_proj.weight"].Shape);
        Assert.Equal([8, 12], header.Entries["model.layers.0.mlp.down_proj.weight"].Shape);
        Assert.Equal([8], header.Entries["model.norm.weight"].Shape);
        Assert.Equal(untied, header.Entries.ContainsKey("lm_head.weight"));
        var config = TransformerConfig.Read(folder);
        Assert.Equal(
            (ModelFamily.Llama, 8, 12, 2, 2, 1, 262, 16, !untied, 10000.0),
            (config.Family, config.Width, config.InnerWidth, config.Layers, config.Heads, config.KeyValueHeads, config.VocabularySize, config.MaximumPositions, config.TieWordEmbeddings, config.Rope!.Theta));
    }

    [Fact]
    public void Convert_QueryAndKey_MovesPairsToHalvesWithinEachHead()
    {
        var folder = Convert(Llama2cFiles.Model(), Llama2cFiles.Tokenizer());

        // In file order: embedding 262 x 8, attention norms 2 x 8, then block 0's query, 8 rows of 8.
        var query = (262 * 8) + 16;
        Assert.Equal(RowStarts(query, [0, 2, 1, 3, 4, 6, 5, 7]), FirstColumn(folder, "model.layers.0.self_attn.q_proj.weight", 8));
        var secondKey = query + (2 * 64) + 32;
        Assert.Equal(RowStarts(secondKey, [0, 2, 1, 3]), FirstColumn(folder, "model.layers.1.self_attn.k_proj.weight", 8));
        var value = query + (2 * 64) + (2 * 32);
        Assert.Equal(RowStarts(value, [0, 1, 2, 3]), FirstColumn(folder, "model.layers.0.self_attn.v_proj.weight", 8));
    }

    [Fact]
    public void Convert_ModelCutAnywhere_IsOneClearErrorAndLeavesNothing()
    {
        var model = Llama2cFiles.Model();
        for (var length = 0; length < model.Length; length += 211)
        {
            AssertRefused(model[..length], Llama2cFiles.Tokenizer(), "model.bin");
        }

        AssertRefused([.. model, 0], Llama2cFiles.Tokenizer(), "model.bin");
    }

    [Fact]
    public void Convert_TokenizerCutAnywhere_IsOneClearErrorAndLeavesNothing()
    {
        var tokenizer = Llama2cFiles.Tokenizer();
        for (var length = 0; length < tokenizer.Length; length += 101)
        {
            AssertRefused(Llama2cFiles.Model(), tokenizer[..length], "tokenizer.bin");
        }

        AssertRefused(Llama2cFiles.Model(), [.. tokenizer, 0], "tokenizer.bin");
    }

    [Fact]
    public void Convert_RandomHeaders_AreRefused()
    {
        var random = new SeededRandom(7);
        for (var trial = 0; trial < 300; trial++)
        {
            var model = Llama2cFiles.Model();
            var field = random.NextInt32(7);
            var value = random.NextInt32(3) switch { 0 => (int)random.NextUInt64(), 1 => 3 + random.NextInt32(1000), _ => -1 - random.NextInt32(100) };
            BinaryPrimitives.WriteInt32LittleEndian(model.AsSpan(field * 4), value);
            if (value != BinaryPrimitives.ReadInt32LittleEndian(Llama2cFiles.Model().AsSpan(field * 4)))
            {
                AssertRefused(model, Llama2cFiles.Tokenizer(), "model.bin");
            }
        }
    }

    [Theory]
    [InlineData(0, int.MinValue)]
    [InlineData(5, int.MinValue)]
    [InlineData(3, 3)]
    [InlineData(4, 0)]
    public void Convert_ImpossibleHeaderField_IsRefused(int field, int value)
    {
        var model = Llama2cFiles.Model();
        BinaryPrimitives.WriteInt32LittleEndian(model.AsSpan(field * 4), value);
        AssertRefused(model, Llama2cFiles.Tokenizer(), "model.bin");
    }

    [Fact]
    public void Convert_NewerFormat_SaysWhichFormatIsNeeded()
    {
        var model = Llama2cFiles.Model();
        BinaryPrimitives.WriteInt32LittleEndian(model, 0x616B3432);
        Assert.Contains("legacy", AssertRefused(model, Llama2cFiles.Tokenizer(), "model.bin").Message);
    }

    [Fact]
    public void Convert_NumberThatIsNotFinite_IsRefusedAndLeavesNothing()
    {
        var model = Llama2cFiles.Model();
        BinaryPrimitives.WriteSingleLittleEndian(model.AsSpan(28 + (((262 * 8) + 20) * 4)), float.NaN);
        Assert.Contains("NaN", AssertRefused(model, Llama2cFiles.Tokenizer(), "model.bin").Message);
    }

    [Fact]
    public void Convert_IntoAFolderWithFiles_IsRefused()
    {
        File.WriteAllText(_folder["keep.txt"], "mine");
        File.WriteAllBytes(_folder["model.bin"], Llama2cFiles.Model());
        File.WriteAllBytes(_folder["tokenizer.bin"], Llama2cFiles.Tokenizer());
        Assert.Throws<IOException>(() => Llama2cConverter.Convert(_folder["model.bin"], _folder["tokenizer.bin"], _folder.FullPath));
        Assert.Equal("mine", File.ReadAllText(_folder["keep.txt"]));
    }

    [Fact]
    public void Convert_MissingFile_NamesIt()
    {
        var error = Assert.Throws<ModelFormatException>(() => Llama2cConverter.Convert(_folder["none.bin"], _folder["none.tok"], _folder["out"]));
        Assert.Contains("none.bin", error.Message);
    }

    private static IEnumerable<float> RowStarts(int start, int[] rows) => rows.Select(row => (start + (row * 8)) / 1024f);

    private static IEnumerable<float> FirstColumn(string folder, string name, int columns)
    {
        var path = Path.Combine(folder, "model.safetensors");
        var header = SafetensorsHeader.ReadFile(path);
        var entry = header.Entries[name];
        var bytes = File.ReadAllBytes(path).AsSpan((int)(header.DataStart + entry.Begin), (int)entry.ByteLength).ToArray();
        return Enumerable.Range(0, bytes.Length / 4 / columns).Select(row => BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(row * columns * 4)));
    }

    private string Convert(byte[] model, byte[] tokenizer)
    {
        File.WriteAllBytes(_folder["model.bin"], model);
        File.WriteAllBytes(_folder["tokenizer.bin"], tokenizer);
        Llama2cConverter.Convert(_folder["model.bin"], _folder["tokenizer.bin"], _folder["out"]);
        return _folder["out"];
    }

    private ModelFormatException AssertRefused(byte[] model, byte[] tokenizer, string file)
    {
        var error = Assert.Throws<ModelFormatException>(() => Convert(model, tokenizer));
        Assert.EndsWith(file, error.File);
        Assert.Equal(["model.bin", "tokenizer.bin"], Directory.EnumerateFileSystemEntries(_folder.FullPath).Select(Path.GetFileName).Order());
        return error;
    }
}
