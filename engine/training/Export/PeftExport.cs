using System.Text.Json;
using System.Text.Json.Nodes;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.Files;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Export;

/// <summary>What an adapter's files say beside its weights.</summary>
public sealed record AdapterDescription
{
    /// <summary>Name or path of the base model, as PEFT's <c>base_model_name_or_path</c>.</summary>
    public required string BaseModel { get; init; }

    /// <summary>Fingerprint of the base model; empty leaves it out. Checked when the adapter is loaded again.</summary>
    public string BaseFingerprint { get; init; } = "";

    /// <summary>How the frozen blocks under the adapter held their weights. PEFT has no word for it: it stands in the weights' metadata where it is not f32.</summary>
    public FrozenWeights FrozenWeights { get; init; }

    /// <summary>Names of the classes by index; empty for language modelling.</summary>
    public IReadOnlyList<string> ClassNames { get; init; } = [];
}

/// <summary>
/// Writes adapters in the form that PEFT's <c>PeftModel.from_pretrained</c> reads: <c>adapter_config.json</c> and
/// <c>adapter_model.safetensors</c>, with the head in <c>modules_to_save</c>.
/// </summary>
public static class PeftExport
{
    private static readonly JsonSerializerOptions _indented = new() { WriteIndented = true };

    /// <summary>Writes the two files; the same adapter gives the same bytes.</summary>
    /// <param name="model">The upper model with its adapters.</param>
    /// <param name="description">What the files say beside the weights.</param>
    /// <param name="folder">Target folder, made if needed.</param>
    /// <exception cref="ArgumentException">The model has no adapters.</exception>
    public static void Write(UpperModel model, AdapterDescription description, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(description);
        var lora = model.Options.Lora ?? throw new ArgumentException("The model has no adapters to write.", nameof(model));
        _ = Directory.CreateDirectory(folder);
        AtomicFile.Write(Path.Combine(folder, PeftNames.WeightsFile), Weights(model, description).WriteTo);
        var json = Config(model, lora, description).ToJsonString(_indented) + "\n";
        AtomicFile.Write(Path.Combine(folder, PeftNames.ConfigFile), stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(json)));
    }

    private static SafetensorsWriter Weights(UpperModel model, AdapterDescription description)
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt");
        if (description.BaseFingerprint.Length > 0)
        {
            writer.SetMetadata(PeftNames.BaseFingerprint, description.BaseFingerprint);
        }

        if (description.FrozenWeights != FrozenWeights.Float32)
        {
            writer.SetMetadata(PeftNames.FrozenWeights, description.FrozenWeights.Name());
        }

        if (description.ClassNames.Count > 0)
        {
            writer.SetMetadata(PeftNames.ClassNames, JsonSerializer.Serialize(description.ClassNames));
        }

        foreach (var parameter in model.Parameters)
        {
            using var value = parameter.Value.to(ScalarType.Float32);
            writer.Add(PeftNames.Key(model.Config.Family, parameter.Name), ElementType.Float32, value.shape, TensorBytes.ToBytes(value));
        }

        return writer;
    }

    private static JsonObject Config(UpperModel model, LoraConfig lora, AdapterDescription description)
    {
        var classifies = model.Options.Head == HeadKind.Classification;
        var blocks = Enumerable.Range(model.Options.Boundary, model.Config.Layers - model.Options.Boundary);
        return new JsonObject
        {
            ["base_model_name_or_path"] = description.BaseModel,
            ["bias"] = "none",
            ["fan_in_fan_out"] = model.Config.Family == ModelFamily.Gpt2,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["layers_pattern"] = PeftNames.LayersPattern(model.Config.Family),
            ["layers_to_transform"] = new JsonArray([.. blocks.Select(block => (JsonNode)block)]),
            ["lora_alpha"] = double.IsInteger(lora.Alpha) ? (long)lora.Alpha : lora.Alpha,
            ["lora_dropout"] = lora.Dropout,
            ["modules_to_save"] = classifies ? new JsonArray("score") : null,
            ["peft_type"] = "LORA",
            ["r"] = lora.Rank,
            ["revision"] = null,
            ["target_modules"] = new JsonArray([.. lora.Targets.Select(target => (JsonNode)target)]),
            ["task_type"] = classifies ? "SEQ_CLS" : "CAUSAL_LM",
            ["use_rslora"] = lora.RankStabilized,
        };
    }
}
