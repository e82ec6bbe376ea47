using System.Text.Json;
using SplitFrozen.Cli.Display;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;

namespace SplitFrozen.Cli.Inspection;

/// <summary>Tells what a path holds and lists it, without loading tensors unless they have to be checked.</summary>
internal static class Inspector
{
    private const int LargestBatch = 1 << 30;

    /// <summary>Looks at a file or folder.</summary>
    /// <exception cref="InputException">There is nothing there, or nothing that is known.</exception>
    public static InspectionResult Inspect(string path)
    {
        if (File.Exists(path))
        {
            return InspectFile(path);
        }

        if (!Directory.Exists(path))
        {
            throw new InputException($"{path}: there is no such file or folder.");
        }

        return path switch
        {
            _ when File.Exists(Path.Combine(path, "adapter_config.json")) => InspectAdapter(path),
            _ when File.Exists(Path.Combine(path, TransformerConfig.FileName)) => InspectModel(path),
            _ when File.Exists(Path.Combine(path, "run.json")) => InspectRun(path),
            _ => throw new InputException(
                $"{path}: this folder is no adapter (adapter_config.json), model (config.json) or run (run.json); name one of these or a .safetensors file."),
        };
    }

    private static InspectionResult InspectFile(string path)
    {
        if (Path.GetFileName(path) is "pytorch_model.bin" || Path.GetExtension(path) is ".pt" or ".pth" or ".ckpt" or ".pkl")
        {
            throw new InputException($"{path}: this is a pickle file, which can run code when it is opened; convert it to safetensors first.");
        }

        var header = ReadHeader(path);
        var facts = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        Count(facts, header.Entries.Values);
        foreach (var (key, value) in header.Metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            facts["metadata." + key] = value;
        }

        var format = header.Metadata.GetValueOrDefault("format") ?? header.Metadata.GetValueOrDefault("version") ?? "";
        if (header.Entries.ContainsKey("hidden_states") && header.Entries.ContainsKey("sample_ids"))
        {
            DescribeBatch(path, facts);
            return new InspectionResult(path, "activation batch", facts, Tensors(header));
        }

        var kind = format.StartsWith("splitfrozen-checkpoint", StringComparison.Ordinal) ? "checkpoint" : "safetensors";
        return new InspectionResult(path, kind, facts, Tensors(header));
    }

    private static void DescribeBatch(string path, OrderedDictionary<string, string> facts)
    {
        if (new FileInfo(path).Length > LargestBatch)
        {
            facts["checks"] = "not made: the file is larger than any message can be";
            return;
        }

        var limits = new WireLimits { MaximumBodyBytes = LargestBatch };
        if (!ActivationBatchCodec.TryDecode(File.ReadAllBytes(path), limits, out var batch, out var reason))
        {
            facts["checks"] = "refused: " + reason;
            return;
        }

        facts["checks"] = "passed: header, checksum, shapes, lengths, labels, finite values";
        facts["samples"] = $"{batch.SampleIds.Length}: {string.Join(", ", batch.SampleIds.Take(8))}{(batch.SampleIds.Length > 8 ? ", …" : "")}";
        facts["tokens"] = $"{batch.Tokens}, {batch.Lengths.Min()} to {batch.Lengths.Max()} per sample";
        facts["labels"] = batch.LabelsPerToken ? "one per token" : $"one per sample: {string.Join(", ", batch.Labels.Take(16))}{(batch.Labels.Length > 16 ? ", …" : "")}";
    }

    private static InspectionResult InspectAdapter(string path)
    {
        var facts = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        var config = Path.Combine(path, "adapter_config.json");
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllText(config));
            foreach (var property in json.RootElement.EnumerateObject())
            {
                facts[property.Name] = property.Value.ValueKind == JsonValueKind.Array
                    ? $"[{string.Join(',', property.Value.EnumerateArray().Select(item => item.GetRawText()))}]"
                    : property.Value.ToString();
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new InputException($"{config}: not a JSON object: {exception.Message}", exception);
        }

        var weights = Path.Combine(path, "adapter_model.safetensors");
        if (!File.Exists(weights))
        {
            throw new InputException($"{weights}: there is no such file; an adapter folder needs it beside adapter_config.json.");
        }

        var header = ReadHeader(weights);
        Count(facts, header.Entries.Values);
        return new InspectionResult(path, "adapter", facts, Tensors(header));
    }

    private static InspectionResult InspectModel(string path)
    {
        using var model = ModelFolder.Open(path);
        var config = model.Config;
        var tensors = model.TensorNames.Select(name => Describe(name, model.StoredType(name), model.Shape(name))).ToArray();
        var facts = new OrderedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["family"] = config.Family.ToString(),
            ["blocks"] = $"{config.Layers}",
            ["width"] = $"{config.Width}",
            ["heads"] = config.KeyValueHeads == config.Heads ? $"{config.Heads}" : $"{config.Heads}, {config.KeyValueHeads} for keys and values",
            ["inner width"] = $"{config.InnerWidth}",
            ["vocabulary"] = $"{config.VocabularySize}",
            ["positions"] = $"{config.MaximumPositions}",
            ["tied head"] = config.TieWordEmbeddings ? "yes" : "no",
            ["parameters"] = Quantity.Count(tensors.Sum(tensor => tensor.Shape.Aggregate(1L, (product, extent) => product * extent))),
            ["bytes"] = Quantity.Bytes(tensors.Sum(tensor => tensor.Bytes)),
            ["fingerprint"] = model.Fingerprint,
        };
        return new InspectionResult(path, "model", facts, tensors);
    }

    private static InspectionResult InspectRun(string path)
    {
        using var record = JsonDocument.Parse(File.ReadAllText(Path.Combine(path, "run.json")));
        var facts = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var property in record.RootElement.EnumerateObject())
        {
            facts[property.Name] = property.Value.ToString();
        }

        foreach (var file in Directory.EnumerateFiles(path, "*.safetensors", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            facts[Path.GetRelativePath(path, file)] = Quantity.Bytes(new FileInfo(file).Length);
        }

        return new InspectionResult(path, "run", facts, []);
    }

    private static SafetensorsHeader ReadHeader(string path)
    {
        try
        {
            return SafetensorsHeader.ReadFile(path);
        }
        catch (SafetensorsException exception)
        {
            throw new InputException(exception.Message, exception);
        }
    }

    private static void Count(OrderedDictionary<string, string> facts, IEnumerable<TensorEntry> entries)
    {
        facts["tensors"] = $"{entries.Count()}, {Quantity.Count(entries.Sum(entry => entry.Elements))} elements, {Quantity.Bytes(entries.Sum(entry => entry.ByteLength))}";
    }

    private static InspectedTensor[] Tensors(SafetensorsHeader header) =>
        [.. header.Entries.Values.OrderBy(entry => entry.Begin).Select(entry => Describe(entry.Name, entry.Type, entry.Shape))];

    private static InspectedTensor Describe(string name, ElementType type, long[] shape) =>
        new(name, type.Name(), shape, shape.Aggregate((long)type.Bytes(), (product, extent) => product * extent));
}
