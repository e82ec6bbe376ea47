using System.Text.Json;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Export;

/// <summary>
/// An adapter in PEFT form: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>. Adapters of blocks
/// <c>[F, L)</c> are accepted, with or without a classification head among the modules to save.
/// </summary>
public sealed class AdapterFolder
{
    private const string ConfigFile = "adapter_config.json";
    private const string WeightsFile = "adapter_model.safetensors";
    private const string Prefix = "base_model.model.";
    private const string Score = "score.weight";

    private readonly string _path;
    private readonly SafetensorsHeader _header;
    private readonly Dictionary<string, TensorEntry> _entries;

    private AdapterFolder(string path, SafetensorsHeader header, Dictionary<string, TensorEntry> entries, LoraConfig lora, int boundary)
    {
        (_path, _header, _entries, Lora, Boundary) = (path, header, entries, lora, boundary);
    }

    /// <summary>Rank, alpha and targets.</summary>
    public LoraConfig Lora { get; }

    /// <summary>First block with an adapter: the frozen boundary F of the run that made it.</summary>
    public int Boundary { get; }

    /// <summary>Classes of the saved head; 0 where the adapter is for language modelling.</summary>
    public int Classes => _entries.TryGetValue(Score, out var entry) ? (int)entry.Shape[0] : 0;

    /// <summary>Reads configuration and header, and no tensor.</summary>
    /// <exception cref="ModelFormatException">A file is missing or damaged, or the adapter is of a kind that is not supported.</exception>
    public static AdapterFolder Open(string path)
    {
        var configPath = Path.Combine(path, ConfigFile);
        var weightsPath = Path.Combine(path, WeightsFile);
        foreach (var file in new[] { configPath, weightsPath }.Where(file => !File.Exists(file)))
        {
            throw new ModelFormatException(file, "file", $"does not exist. Name a folder with {ConfigFile} and {WeightsFile}.");
        }

        var (lora, layers) = ReadConfig(configPath);
        var header = ReadHeader(weightsPath);
        var entries = header.Entries.Values.ToDictionary(entry => Canonical(weightsPath, entry.Name), StringComparer.Ordinal);
        var adapted = entries.Keys.Where(name => name != Score).Select(name => BlockOf(weightsPath, name)).Concat(layers ?? []).ToArray();
        return adapted.Length > 0
            ? new AdapterFolder(path, header, entries, lora, adapted.Min())
            : throw new ModelFormatException(weightsPath, "tensors", "hold no LoRA weight.");
    }

    /// <summary>Opens the upper part of a base model with this adapter in it, from the adapter's boundary up.</summary>
    /// <param name="model">The base model; must stay open.</param>
    /// <exception cref="ModelFormatException">The adapter does not fit the model.</exception>
    public UpperModel OpenUpper(ModelFolder model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (Boundary >= model.Config.Layers)
        {
            throw new ModelFormatException(Path.Combine(_path, ConfigFile), "layers_to_transform", $"names block {Boundary}, but the model has {model.Config.Layers}.");
        }

        UpperModel upper;
        try
        {
            upper = UpperModel.Open(model, new UpperModelOptions
            {
                LowestCut = Boundary,
                Boundary = Boundary,
                Head = Classes > 0 ? HeadKind.Classification : HeadKind.LanguageModel,
                Classes = Classes,
                Lora = Lora,
            });
        }
        catch (ArgumentException exception)
        {
            throw new ModelFormatException(Path.Combine(_path, ConfigFile), "adapter", $"does not fit the model: {exception.Message}");
        }

        try
        {
            Load(upper);
            return upper;
        }
        catch
        {
            upper.Dispose();
            throw;
        }
    }

    private void Load(UpperModel upper)
    {
        var file = Path.Combine(_path, WeightsFile);
        using var stream = File.OpenRead(file);
        foreach (var parameter in upper.Parameters)
        {
            if (!_entries.TryGetValue(parameter.Name, out var entry) || !entry.Shape.SequenceEqual(parameter.Value.shape))
            {
                throw new ModelFormatException(
                    file, parameter.Name, $"is missing or not of shape [{string.Join(", ", parameter.Value.shape)}]; the adapter belongs to another base model.");
            }

            var bytes = new byte[entry.ByteLength];
            stream.Position = _header.DataStart + entry.Begin;
            stream.ReadExactly(bytes);
            using var noGradient = no_grad();
            using var value = TensorBytes.FromBytes(bytes, entry.Shape, TypeOf(file, entry));
            _ = parameter.Value.copy_(value);
        }

        if (_entries.Count != upper.Parameters.Count)
        {
            var known = upper.Parameters.Select(parameter => parameter.Name).ToHashSet(StringComparer.Ordinal);
            throw new ModelFormatException(file, _entries.Keys.First(name => !known.Contains(name)), "belongs to no adapted layer of the base model.");
        }
    }

    private static ScalarType TypeOf(string file, TensorEntry entry) => entry.Type switch
    {
        ElementType.Float32 => ScalarType.Float32,
        ElementType.Float16 => ScalarType.Float16,
        ElementType.BFloat16 => ScalarType.BFloat16,
        _ => throw new ModelFormatException(file, entry.Name, $"is of type {entry.Type.Name()}; adapters are F32, F16 or BF16."),
    };

    private static SafetensorsHeader ReadHeader(string file)
    {
        try
        {
            return SafetensorsHeader.ReadFile(file);
        }
        catch (SafetensorsException exception)
        {
            throw new ModelFormatException(file, "header", exception.Message);
        }
    }

    private static (LoraConfig Lora, int[]? Layers) ReadConfig(string file)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(file));
            var root = document.RootElement;
            if (root.GetProperty("peft_type").GetString() != "LORA")
            {
                throw new ModelFormatException(file, "peft_type", "must be LORA.");
            }

            string[] targets = [.. root.GetProperty("target_modules").EnumerateArray().Select(target => target.GetString()!)];
            var lora = new LoraConfig(
                root.GetProperty("r").GetInt32(),
                root.GetProperty("lora_alpha").GetDouble(),
                0,
                targets,
                root.TryGetProperty("use_rslora", out var stabilized) && stabilized.ValueKind == JsonValueKind.True);
            var layers = root.TryGetProperty("layers_to_transform", out var list) && list.ValueKind == JsonValueKind.Array
                ? list.EnumerateArray().Select(layer => layer.GetInt32()).ToArray()
                : null;
            return (lora, layers);
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new ModelFormatException(file, "JSON", $"is not an adapter configuration: {exception.Message}");
        }
    }

    /// <summary><c>base_model.model.transformer.h.3.…</c> becomes <c>h.3.…</c>, as parameters of the model are named.</summary>
    private static string Canonical(string file, string name)
    {
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            throw new ModelFormatException(file, name, $"does not begin with {Prefix}, as PEFT's tensors do.");
        }

        var canonical = name[Prefix.Length..];
        foreach (var family in new[] { "transformer.", "model." })
        {
            if (canonical.StartsWith(family, StringComparison.Ordinal))
            {
                return canonical[family.Length..];
            }
        }

        return canonical;
    }

    private static int BlockOf(string file, string name) =>
        name.Split('.') is [_, var block, ..] && int.TryParse(block, out var number)
            ? number
            : throw new ModelFormatException(file, name, "names no block of the model.");
}
