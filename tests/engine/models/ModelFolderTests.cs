using System.Text.Json.Nodes;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class ModelFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("splitfrozen-folder-").FullName;

    public ModelFolderTests()
    {
        LibtorchLoader.Load();
        ModelInitialization.Write(_folder, SmallModel.Config(ModelFamily.Gpt2), seed: 7);
    }

    private string ConfigFile => Path.Combine(_folder, "config.json");

    private string WeightFile => Path.Combine(_folder, "model.safetensors");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void Config_WrittenAndRead_IsTheSame(ModelFamily family)
    {
        var config = SmallModel.Config(family) with { EndOfTextId = 3, BeginOfTextId = 4 };
        config.Write(_folder);

        Assert.Equal(config, TransformerConfig.Read(_folder));
    }

    [Theory]
    [InlineData("n_layer", null, "is missing")]
    [InlineData("n_layer", "0", "from 1 to")]
    [InlineData("n_layer", "\"three\"", "from 1 to")]
    [InlineData("n_head", "3", "does not divide")]
    [InlineData("vocab_size", "1e99", "from 1 to")]
    [InlineData("activation_function", "\"gelu\"", "only \"gelu_new\"")]
    [InlineData("model_type", "\"bert\"", "supported are")]
    [InlineData("layer_norm_epsilon", "-1", "between 0 and 1")]
    [InlineData("eos_token_id", "400", "outside the vocabulary")]
    [InlineData("tie_word_embeddings", "1", "true or false")]
    public void Config_WithWrongField_NamesFileAndField(string field, string? value, string fault)
    {
        var fields = JsonNode.Parse(File.ReadAllText(ConfigFile))!.AsObject();
        fields.Remove(field);
        if (value is not null)
        {
            fields[field] = JsonNode.Parse(value);
        }

        File.WriteAllText(ConfigFile, fields.ToJsonString());

        var exception = Assert.Throws<ModelFormatException>(() => ModelFolder.Open(_folder));
        Assert.Equal(ConfigFile, exception.File);
        Assert.Contains(field == "n_head" ? "n_" : field, exception.Field, StringComparison.Ordinal);
        Assert.Contains(fault, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Config_NotJson_SaysSo()
    {
        File.WriteAllText(ConfigFile, "{");

        Assert.Contains("not JSON", Assert.Throws<ModelFormatException>(() => ModelFolder.Open(_folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Folder_Missing_SaysSo()
    {
        var exception = Assert.Throws<ModelFormatException>(() => ModelFolder.Open(Path.Combine(_folder, "none")));

        Assert.Contains("does not exist", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_AsPickleOnly_SaysWhyNot()
    {
        File.Move(WeightFile, Path.Combine(_folder, "pytorch_model.bin"));

        Assert.Contains("pytorch_model.bin is a pickle", Assert.Throws<ModelFormatException>(() => ModelFolder.Open(_folder)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PK\u0003\u0004 and then some more bytes", "zip archive")]
    [InlineData("", "too few")]
    public void Weights_OfAnotherFormat_AreRefused(string content, string fault)
    {
        File.WriteAllText(WeightFile, content);

        var exception = Assert.Throws<ModelFormatException>(() => ModelFolder.Open(_folder));
        Assert.Equal(WeightFile, exception.File);
        Assert.Contains(fault, exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(0.01)]
    public void Weights_CutOff_AreRefused(double share)
    {
        using (var stream = File.OpenWrite(WeightFile))
        {
            stream.SetLength((long)(stream.Length * share));
        }

        Assert.Equal(WeightFile, Assert.Throws<ModelFormatException>(() => ModelFolder.Open(_folder)).File);
    }

    [Fact]
    public void Weights_OfAnotherShape_NameTheTensor()
    {
        (SmallModel.Config(ModelFamily.Gpt2) with { InnerWidth = 20 }).Write(_folder);
        using var folder = ModelFolder.Open(_folder);

        var exception = Assert.Throws<ModelFormatException>(() => FrozenEncoder.Open(folder, 1));

        Assert.Equal("h.0.mlp.c_fc.weight", exception.Field);
        Assert.Contains("[16, 24]", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_WithoutATensor_NameIt()
    {
        (SmallModel.Config(ModelFamily.Gpt2) with { Layers = 4 }).Write(_folder);
        using var folder = ModelFolder.Open(_folder);

        Assert.Equal("h.3.ln_1.weight", Assert.Throws<ModelFormatException>(() => FrozenEncoder.Open(folder, 4)).Field);
    }

    [Theory]
    [InlineData("transformer.")]
    [InlineData("")]
    public void Weights_WithPrefixOrBuffers_LoadUnderCanonicalNames(string prefix)
    {
        Rewrite(prefix, ElementType.Float32, withBuffer: true);
        using var folder = ModelFolder.Open(_folder);

        Assert.DoesNotContain("h.0.attn.bias", folder.TensorNames);
        using var loaded = folder.Load("h.0.attn.c_attn.weight", ScalarType.Float32, 16, 48);
        Assert.Equal(0.02, loaded.std().item<float>(), 0.003);
    }

    [Theory]
    [InlineData(ElementType.Float16, 1e-3)]
    [InlineData(ElementType.BFloat16, 8e-3)]
    public void Weights_InHalfPrecision_LoadRounded(ElementType type, double tolerance)
    {
        using var exactFolder = ModelFolder.Open(_folder);
        using var exact = exactFolder.Load("wte.weight", ScalarType.Float32);
        exactFolder.Dispose();
        Rewrite("", type, withBuffer: false);
        using var folder = ModelFolder.Open(_folder);
        using var loaded = folder.Load("wte.weight", ScalarType.Float32);

        Comparison.AssertClose(exact, loaded, tolerance, "wte.weight");
        Assert.NotEqual(0, Comparison.RelativeError(exact, loaded));
    }

    [Fact]
    public void Fingerprint_ChangesWithOneWeightOrConstant_AndOnlyThen()
    {
        var original = Fingerprint();

        Assert.Equal(original, Fingerprint());
        Assert.Equal(64, original.Length);
        (SmallModel.Config(ModelFamily.Gpt2) with { NormEpsilon = 1e-6 }).Write(_folder);
        Assert.NotEqual(original, Fingerprint());
        SmallModel.Config(ModelFamily.Gpt2).Write(_folder);
        using (var stream = File.OpenWrite(WeightFile))
        {
            stream.Seek(-1, SeekOrigin.End);
            stream.WriteByte(0x3f);
        }

        Assert.NotEqual(original, Fingerprint());
    }

    [Fact]
    public void Shards_WithIndex_EqualTheSingleFile()
    {
        using var single = ModelFolder.Open(_folder);
        using var expected = single.Load("ln_f.weight", ScalarType.Float32);
        WriteShards(claim: null);
        using var sharded = ModelFolder.Open(_folder);
        using var actual = sharded.Load("ln_f.weight", ScalarType.Float32);

        Comparison.AssertSameBits(expected, actual);
        Assert.Equal(single.TensorNames, sharded.TensorNames);
    }

    [Theory]
    [InlineData("../elsewhere.safetensors", "same folder")]
    [InlineData("model-1.safetensors", "although model.safetensors.index.json places it here")]
    public void Shards_WithLyingIndex_AreRefused(string file, string fault)
    {
        WriteShards(claim: file);

        Assert.Contains(fault, Assert.Throws<ModelFormatException>(() => ModelFolder.Open(_folder)).Message, StringComparison.Ordinal);
    }

    private string Fingerprint()
    {
        using var folder = ModelFolder.Open(_folder);
        return folder.Fingerprint;
    }

    // Two shards, split in the middle of the names; the index may claim another file for the last tensor.
    private void WriteShards(string? claim)
    {
        using (var folder = ModelFolder.Open(_folder))
        {
            var names = folder.TensorNames.ToArray();
            var map = new JsonObject();
            for (var shard = 0; shard < 2; shard++)
            {
                var writer = new SafetensorsWriter();
                foreach (var name in shard == 0 ? names[..(names.Length / 2)] : names[(names.Length / 2)..])
                {
                    using var tensor = folder.Load(name, ScalarType.Float32);
                    writer.Add(name, ElementType.Float32, tensor.shape, TensorBytes.ToBytes(tensor));
                    map[name] = name == names[^1] && claim is not null ? claim : $"model-{shard + 1}.safetensors";
                }

                using var stream = File.Create(Path.Combine(_folder, $"model-{shard + 1}.safetensors"));
                writer.WriteTo(stream);
            }

            File.WriteAllText(Path.Combine(_folder, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = map }.ToJsonString());
        }

        File.Delete(WeightFile);
    }

    private void Rewrite(string prefix, ElementType type, bool withBuffer)
    {
        var writer = new SafetensorsWriter();
        using (var folder = ModelFolder.Open(_folder))
        {
            var scalar = type switch { ElementType.Float16 => ScalarType.Float16, ElementType.BFloat16 => ScalarType.BFloat16, _ => ScalarType.Float32 };
            foreach (var name in folder.TensorNames)
            {
                using var tensor = folder.Load(name, scalar);
                writer.Add(prefix + name, type, tensor.shape, TensorBytes.ToBytes(tensor));
            }
        }

        if (withBuffer)
        {
            writer.Add($"{prefix}h.0.attn.bias", ElementType.UInt8, [4], new byte[4]);
        }

        using var stream = File.Create(WeightFile);
        writer.WriteTo(stream);
    }
}
