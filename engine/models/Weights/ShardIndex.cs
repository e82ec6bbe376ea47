using System.Text.Json;

namespace SplitFrozen.Models.Weights;

/// <summary>Finds the weight files of a model folder: one file, or the shards of <c>model.safetensors.index.json</c>.</summary>
internal static class ShardIndex
{
    private const string SingleFile = "model.safetensors";
    private const string IndexFile = "model.safetensors.index.json";
    private static readonly string[] _pickles = ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "consolidated.00.pth"];

    /// <summary>Paths of the files, and for a sharded model the file that the index names for every tensor.</summary>
    internal static (string[] Files, IReadOnlyDictionary<string, string>? Placement) Find(string folder)
    {
        var single = Path.Combine(folder, SingleFile);
        if (File.Exists(single))
        {
            return ([single], null);
        }

        var index = Path.Combine(folder, IndexFile);
        if (!File.Exists(index))
        {
            var pickle = Array.Find(_pickles, name => File.Exists(Path.Combine(folder, name)));
            throw new ModelFormatException(
                single, "file", pickle is null
                    ? "is missing. A model folder holds model.safetensors, or shards with model.safetensors.index.json."
                    : $"is missing; {pickle} is a pickle, which can run code when it is read. Save the model with safetensors (save_pretrained does by default).");
        }

        var placement = Read(index);
        return ([.. placement.Values.Distinct().Order(StringComparer.Ordinal).Select(name => Path.Combine(folder, name))], placement);
    }

    private static Dictionary<string, string> Read(string index)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(index));
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out var map)
                || map.ValueKind != JsonValueKind.Object)
            {
                throw new ModelFormatException(index, "weight_map", "is missing; it must map tensor names to files.");
            }

            var placement = new Dictionary<string, string>();
            foreach (var entry in map.EnumerateObject())
            {
                placement[entry.Name] = FileName(index, entry);
            }

            return placement.Count > 0 ? placement : throw new ModelFormatException(index, "weight_map", "names no tensor.");
        }
        catch (JsonException exception)
        {
            throw new ModelFormatException(index, "file", $"is not JSON: {exception.Message}");
        }
    }

    private static string FileName(string index, JsonProperty entry)
    {
        var name = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()! : "";
        if (name.Length == 0 || name != Path.GetFileName(name) || !name.EndsWith(".safetensors", StringComparison.Ordinal))
        {
            throw new ModelFormatException(index, $"weight_map.{entry.Name}", "must name a .safetensors file in the same folder.");
        }

        return name;
    }
}
