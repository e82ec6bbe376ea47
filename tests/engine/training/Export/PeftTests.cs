using System.Text.Json;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models;
using SplitFrozen.Training.Export;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.Export;

public sealed class PeftTests : IDisposable
{
    // Written by hand from the module paths of transformers' GPT2ForSequenceClassification and LlamaForCausalLM under PEFT.
    private static readonly string[] _gpt2Keys =
    [
        "base_model.model.score.weight",
        "base_model.model.transformer.h.2.attn.c_attn.lora_A.weight",
        "base_model.model.transformer.h.2.attn.c_attn.lora_B.weight",
        "base_model.model.transformer.h.2.attn.c_proj.lora_A.weight",
        "base_model.model.transformer.h.2.attn.c_proj.lora_B.weight",
        "base_model.model.transformer.h.2.mlp.c_proj.lora_A.weight",
        "base_model.model.transformer.h.2.mlp.c_proj.lora_B.weight",
        "base_model.model.transformer.h.3.attn.c_attn.lora_A.weight",
        "base_model.model.transformer.h.3.attn.c_attn.lora_B.weight",
        "base_model.model.transformer.h.3.attn.c_proj.lora_A.weight",
        "base_model.model.transformer.h.3.attn.c_proj.lora_B.weight",
        "base_model.model.transformer.h.3.mlp.c_proj.lora_A.weight",
        "base_model.model.transformer.h.3.mlp.c_proj.lora_B.weight",
    ];

    private static readonly string[] _llamaKeys =
    [
        "base_model.model.model.layers.3.mlp.down_proj.lora_A.weight",
        "base_model.model.model.layers.3.mlp.down_proj.lora_B.weight",
        "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight",
        "base_model.model.model.layers.3.self_attn.v_proj.lora_A.weight",
        "base_model.model.model.layers.3.self_attn.v_proj.lora_B.weight",
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Write_Gpt2Classification_HasPeftsKeysAndShapes()
    {
        using var files = new SmallModel();
        Export(files);
        var header = Header();
        Assert.Equal(_gpt2Keys, header.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.Equal([2L, 16L], header.Entries["base_model.model.transformer.h.2.attn.c_attn.lora_A.weight"].Shape);
        Assert.Equal([48L, 2L], header.Entries["base_model.model.transformer.h.2.attn.c_attn.lora_B.weight"].Shape);
        Assert.Equal([3L, 16L], header.Entries["base_model.model.score.weight"].Shape);
        Assert.Equal("pt", header.Metadata["format"]);
    }

    [Fact]
    public void Write_LlamaLanguageModel_HasPeftsKeys()
    {
        using var files = new SmallModel(ModelFamily.Llama);
        Export(files, HeadKind.LanguageModel, boundary: 3);
        Assert.Equal(_llamaKeys, Header().Entries.Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Write_Gpt2Classification_HasPeftsConfiguration()
    {
        using var files = new SmallModel();
        Export(files);
        using var config = JsonDocument.Parse(File.ReadAllText(_folder.File("adapter_config.json")));
        const string Expected = """
            {"base_model_name_or_path":"base","bias":"none","fan_in_fan_out":true,"inference_mode":true,"init_lora_weights":true,"layers_pattern":"h",
             "layers_to_transform":[2,3],"lora_alpha":8,"lora_dropout":0,"modules_to_save":["score"],"peft_type":"LORA","r":2,"revision":null,
             "target_modules":["c_attn","c_proj"],"task_type":"SEQ_CLS","use_rslora":false}
            """;
        using var expected = JsonDocument.Parse(Expected);
        Assert.True(JsonElement.DeepEquals(expected.RootElement, config.RootElement), config.RootElement.GetRawText());
    }

    [Fact]
    public void Write_LlamaLanguageModel_HasPeftsConfiguration()
    {
        using var files = new SmallModel(ModelFamily.Llama);
        Export(files, HeadKind.LanguageModel, boundary: 3);
        using var config = JsonDocument.Parse(File.ReadAllText(_folder.File("adapter_config.json")));
        Assert.Equal("CAUSAL_LM", config.RootElement.GetProperty("task_type").GetString());
        Assert.Equal("layers", config.RootElement.GetProperty("layers_pattern").GetString());
        Assert.False(config.RootElement.GetProperty("fan_in_fan_out").GetBoolean());
        Assert.Equal(JsonValueKind.Null, config.RootElement.GetProperty("modules_to_save").ValueKind);
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2, HeadKind.Classification)]
    [InlineData(ModelFamily.Llama, HeadKind.LanguageModel)]
    public void Open_WhatWasWritten_WritesTheSameBytesAgain(ModelFamily family, HeadKind head)
    {
        using var files = new SmallModel(family);
        Export(files, head);
        var adapter = PeftAdapter.Read(_folder.Path);
        using var model = adapter.Open(files.Folder);
        var again = files.File("again");
        PeftExport.Write(model, Description(files, head), again);

        foreach (var name in (string[])["adapter_config.json", "adapter_model.safetensors"])
        {
            Assert.Equal(File.ReadAllBytes(_folder.File(name)), File.ReadAllBytes(Path.Combine(again, name)));
        }
    }

    [Fact]
    public void Read_OwnAdapter_TellsWhatItIs()
    {
        using var files = new SmallModel();
        Export(files);
        var adapter = PeftAdapter.Read(_folder.Path);
        Assert.Equal((HeadKind.Classification, 3, 2, "base"), (adapter.Head, adapter.Classes, adapter.Boundary(files.Folder.Config), adapter.BaseModel));
        Assert.Equal(["bad", "fair", "good"], adapter.ClassNames);
        Assert.Equal(files.Folder.Fingerprint, adapter.BaseFingerprint);
    }

    [Theory]
    [InlineData("\"r\": 2", "\"r\": 4", "lora_A.weight")]
    [InlineData("\"c_proj\"", "\"c_fc\"", "c_fc.lora_A.weight")]
    [InlineData("\"c_proj\"", "\"q_proj\"", "q_proj")]
    [InlineData("    2,\n", "", "h.2.attn")]
    [InlineData("    3\n", "    7\n", "blocks 2, 7")]
    [InlineData("\"bias\": \"none\"", "\"bias\": \"all\"", "bias")]
    [InlineData("\"LORA\"", "\"IA3\"", "peft_type")]
    [InlineData("\"SEQ_CLS\"", "\"SEQ_2_SEQ_LM\"", "task_type")]
    [InlineData("\"use_rslora\"", "\"use_dora\": true, \"use_rslora\"", "use_dora")]
    [InlineData("\"r\": 2", "\"r\": \"two\"", "adapter_config.json")]
    [InlineData("{", "[", "adapter_config.json")]
    public void Open_ConfigurationThatDoesNotFit_NamesTheFault(string old, string replacement, string expected)
    {
        using var files = new SmallModel();
        Export(files);
        var config = File.ReadAllText(_folder.File("adapter_config.json"));
        Assert.Contains(old, config);
        File.WriteAllText(_folder.File("adapter_config.json"), config.Replace(old, replacement, StringComparison.Ordinal));
        var exception = Assert.Throws<AdapterException>(() => PeftAdapter.Read(_folder.Path).Open(files.Folder));
        Assert.Contains(expected, exception.Message);
    }

    [Fact]
    public void Open_OtherBaseModel_IsRefused()
    {
        using var files = new SmallModel();
        Export(files);
        var other = files.File("other");
        ModelInitialization.Write(other, files.Folder.Config, seed: 4);
        using var folder = ModelFolder.Open(other);
        Assert.Contains("another base model", Assert.Throws<AdapterException>(() => PeftAdapter.Read(_folder.Path).Open(folder)).Message);
    }

    [Fact]
    public void Open_TrainedAboveInt8Blocks_NeedsThem()
    {
        using var files = new SmallModel();
        using var int8 = ModelFolder.Open(files.Path, FrozenWeights.Int8);
        using (var model = UpperModel.Open(int8, files.Options()))
        {
            PeftExport.Write(
                model, new AdapterDescription { BaseModel = "base", BaseFingerprint = int8.Fingerprint, FrozenWeights = int8.FrozenWeights }, _folder.Path);
        }

        var adapter = PeftAdapter.Read(_folder.Path);
        Assert.Equal(FrozenWeights.Int8, adapter.FrozenWeights);
        adapter.Open(int8).Dispose();
        Assert.Contains("--set device.weights=int8", Assert.Throws<AdapterException>(() => adapter.Open(files.Folder)).Message);

        Export(files);
        Assert.Equal(FrozenWeights.Float32, PeftAdapter.Read(_folder.Path).FrozenWeights);
        Assert.Contains("--set device.weights=f32", Assert.Throws<AdapterException>(() => PeftAdapter.Read(_folder.Path).Open(int8)).Message);
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2, "h.{0}.mlp.c_fc.weight")]
    [InlineData(ModelFamily.Llama, "layers.{0}.mlp.up_proj.weight")]
    public void Merged_TrainedAboveInt8Blocks_HoldsWhatTheyComputedWith(ModelFamily family, string name)
    {
        using var files = new SmallModel(family);
        using var int8 = ModelFolder.Open(files.Path, FrozenWeights.Int8);
        using var model = UpperModel.Open(int8, files.Options());
        MergedExport.Write(model, int8, [], _folder.File("merged"));
        using var merged = ModelFolder.Open(_folder.File("merged"));
        using var scope = NewDisposeScope();
        for (var block = 0; block < files.Folder.Config.Layers; block++)
        {
            var weight = string.Format(System.Globalization.CultureInfo.InvariantCulture, name, block);
            var original = files.Folder.Load(weight, ScalarType.Float32);
            var frozen = int8.LoadAsFrozen(weight, ScalarType.Float32, original.shape);
            Assert.False(frozen.Equals(original));
            Assert.True(merged.Load(weight, ScalarType.Float32).Equals(block < model.Options.Boundary ? frozen : original), weight);
        }
    }

    [Fact]
    public void Read_PickleInsteadOfSafetensors_SaysSo()
    {
        using var files = new SmallModel();
        Export(files);
        File.WriteAllBytes(_folder.File("adapter_model.safetensors"), [.. "PK\u0003\u0004"u8, .. new byte[100]]);
        Assert.Contains("adapter_model.safetensors", Assert.Throws<AdapterException>(() => PeftAdapter.Read(_folder.Path)).Message);
    }

    [Fact]
    public void Read_EmptyFolder_SaysWhatBelongsThere() =>
        Assert.Contains("adapter_config.json", Assert.Throws<AdapterException>(() => PeftAdapter.Read(_folder.Path)).Message);

    [Theory]
    [InlineData(ModelFamily.Gpt2, HeadKind.Classification, false)]
    [InlineData(ModelFamily.Gpt2, HeadKind.LanguageModel, true)]
    [InlineData(ModelFamily.Llama, HeadKind.Classification, true)]
    [InlineData(ModelFamily.Llama, HeadKind.LanguageModel, false)]
    public void Merged_Forward_EqualsTheAdapters(ModelFamily family, HeadKind head, bool rankStabilized)
    {
        using var files = new SmallModel(family);
        using var adapted = files.Open(head: head, lora: SmallModel.Lora(family) with { RankStabilized = rankStabilized });
        SmallModel.Perturb(adapted);
        MergedExport.Write(adapted, files.Folder, [], _folder.File("merged"));
        using var folder = ModelFolder.Open(_folder.File("merged"));
        using var merged = UpperModel.Open(folder, adapted.Options with { Lora = null });

        var samples = files.Samples(4, [2], head == HeadKind.LanguageModel);
        using var hidden = cat([.. samples.Select(sample => sample.Hidden)], 0);
        using var layout = new SequenceLayout([.. samples.Select(sample => (int)sample.Hidden.shape[0])]);
        using var expected = adapted.Logits(hidden, layout);
        using var actual = merged.Logits(hidden, layout);
        using var plain = UpperModel.Open(files.Folder, adapted.Options with { Lora = null });
        using var without = plain.Logits(hidden, layout);
        Assert.True(actual.allclose(expected, rtol: 1e-5, atol: 1e-5));
        Assert.False(without.allclose(expected, rtol: 1e-2, atol: 1e-2));
    }

    [Fact]
    public void Merged_Classification_HasTransformersConfiguration()
    {
        using var files = new SmallModel();
        File.WriteAllText(Path.Combine(files.Path, "vocab.json"), "{}");
        using var model = files.Open();
        MergedExport.Write(model, files.Folder, ["bad", "fair", "good"], _folder.File("merged"), ScalarType.Float16);
        using var config = JsonDocument.Parse(File.ReadAllText(_folder.File("merged/config.json")));
        Assert.Equal("GPT2ForSequenceClassification", config.RootElement.GetProperty("architectures")[0].GetString());
        Assert.Equal("good", config.RootElement.GetProperty("id2label").GetProperty("2").GetString());
        Assert.Equal(1, config.RootElement.GetProperty("label2id").GetProperty("fair").GetInt32());
        Assert.Equal(39, config.RootElement.GetProperty("pad_token_id").GetInt32());
        Assert.Equal("float16", config.RootElement.GetProperty("torch_dtype").GetString());
        Assert.True(File.Exists(_folder.File("merged/vocab.json")));
        var header = SafetensorsHeader.ReadFile(_folder.File("merged/model.safetensors"));
        Assert.Contains("transformer.h.0.attn.c_attn.weight", header.Entries.Keys);
        Assert.Equal([3L, 16L], header.Entries["score.weight"].Shape);
        Assert.All(header.Entries.Values, entry => Assert.Equal(ElementType.Float16, entry.Type));
    }

    [Fact]
    public void Merged_IntoTheBaseFolder_IsRefused()
    {
        using var files = new SmallModel();
        using var model = files.Open();
        _ = Assert.Throws<ArgumentException>(() => MergedExport.Write(model, files.Folder, [], files.Path));
    }

    private static AdapterDescription Description(SmallModel files, HeadKind head) => new()
    {
        BaseModel = "base",
        BaseFingerprint = files.Folder.Fingerprint,
        ClassNames = head == HeadKind.Classification ? ["bad", "fair", "good"] : [],
    };

    private void Export(SmallModel files, HeadKind head = HeadKind.Classification, int boundary = 2)
    {
        using var model = files.Open(boundary: boundary, head: head);
        SmallModel.Perturb(model);
        PeftExport.Write(model, Description(files, head), _folder.Path);
    }

    private SafetensorsHeader Header() => SafetensorsHeader.ReadFile(_folder.File("adapter_model.safetensors"));
}
