using System.Text.Json;
using SplitFrozen.Models;

namespace SplitFrozen.Training.Export;

/// <summary>What an <c>adapter_config.json</c> asks for.</summary>
/// <param name="Lora">The adapters.</param>
/// <param name="Head">The head that the adapter was trained with.</param>
/// <param name="Layers">Adapted blocks in ascending order; empty for all.</param>
/// <param name="BaseModel">Name or path of the base model.</param>
internal sealed record PeftConfig(LoraConfig Lora, HeadKind Head, int[] Layers, string BaseModel);

/// <summary>Reads <c>adapter_config.json</c>, and refuses the options of PEFT that would change the result and are not supported.</summary>
internal sealed class PeftConfigReader
{
    private readonly string _file;
    private readonly JsonElement _root;

    private PeftConfigReader(string file, JsonElement root) => (_file, _root) = (file, root);

    public static PeftConfig Read(string folder)
    {
        var file = Path.Combine(folder, PeftNames.ConfigFile);
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            return new PeftConfigReader(file, document.RootElement).Read();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new AdapterException(file, $"cannot be read: {exception.Message} Name a folder with {PeftNames.ConfigFile} and {PeftNames.WeightsFile}.", exception);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException)
        {
            throw new AdapterException(file, $"is not the JSON of an adapter: {exception.Message}", exception);
        }
    }

    private PeftConfig Read()
    {
        if (_root.ValueKind != JsonValueKind.Object || Text("peft_type") != "LORA")
        {
            throw new AdapterException(_file, "peft_type: only LORA adapters are supported.");
        }

        Refuse("use_dora", value => value.ValueKind == JsonValueKind.True);
        Refuse("bias", value => value.GetString() != "none");
        Refuse("lora_bias", value => value.ValueKind == JsonValueKind.True);
        Refuse("rank_pattern", IsFilled);
        Refuse("alpha_pattern", IsFilled);
        Refuse("exclude_modules", IsFilled);
        Refuse("layer_replication", IsFilled);
        Refuse("modules_to_save", value => value.EnumerateArray().Any(module => module.GetString() != "score"));
        var head = Text("task_type") switch
        {
            "SEQ_CLS" => HeadKind.Classification,
            "CAUSAL_LM" => HeadKind.LanguageModel,
            var other => throw new AdapterException(_file, $"task_type: \"{other}\" is not supported; SEQ_CLS and CAUSAL_LM are."),
        };
        return new PeftConfig(Lora(), head, Layers(), Find("base_model_name_or_path")?.GetString() ?? "");
    }

    private static bool IsFilled(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => value.EnumerateObject().Any(),
        JsonValueKind.Array => value.GetArrayLength() > 0,
        JsonValueKind.String => value.GetString()!.Length > 0,
        _ => false,
    };

    private LoraConfig Lora()
    {
        var targets = Required("target_modules");
        if (targets.ValueKind != JsonValueKind.Array || targets.GetArrayLength() == 0)
        {
            throw new AdapterException(_file, "target_modules: must be a list of layer names; patterns are not supported.");
        }

        var rank = Required("r").GetInt32();
        if (rank < 1)
        {
            throw new AdapterException(_file, $"r: {rank} must be at least 1.");
        }

        return new LoraConfig(
            rank,
            Required("lora_alpha").GetDouble(),
            Find("lora_dropout")?.GetDouble() ?? 0,
            [.. targets.EnumerateArray().Select(target => target.GetString()!)],
            Find("use_rslora")?.GetBoolean() ?? false);
    }

    private int[] Layers() => Find("layers_to_transform") switch
    {
        null => [],
        { ValueKind: JsonValueKind.Number } one => [one.GetInt32()],
        var list => [.. list.Value.EnumerateArray().Select(layer => layer.GetInt32()).Order()],
    };

    private string Text(string field) => Required(field).GetString() ?? "";

    private JsonElement Required(string field) => Find(field) ?? throw new AdapterException(_file, $"{field}: is missing.");

    private JsonElement? Find(string field) =>
        _root.TryGetProperty(field, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private void Refuse(string field, Func<JsonElement, bool> isUsed)
    {
        if (Find(field) is { } value && isUsed(value))
        {
            throw new AdapterException(_file, $"{field}: {value.GetRawText()} is not supported.");
        }
    }
}
