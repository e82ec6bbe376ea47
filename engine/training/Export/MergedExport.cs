using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.Files;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Export;

/// <summary>
/// Writes a complete model in Hugging Face layout with the adapters merged into the weights:
/// <c>W + s·B A</c>, transposed for GPT-2, which keeps linear weights as <c>[in, out]</c>. Frozen int8 weights are written as the numbers that they
/// stand for: the model that was trained.
/// </summary>
public static class MergedExport
{
    private static readonly JsonSerializerOptions _indented = new() { WriteIndented = true };

    /// <summary>Writes <c>config.json</c>, <c>model.safetensors</c> and the base model's tokenizer files.</summary>
    /// <param name="model">The upper model with its adapters and head.</param>
    /// <param name="baseModel">The base model that it was opened from.</param>
    /// <param name="classNames">Names of the classes by index; empty gives <c>LABEL_0</c>… for classification.</param>
    /// <param name="folder">Target folder, made if needed; not the base model's.</param>
    /// <param name="type">Type of the weights; less than Float32 rounds them.</param>
    /// <exception cref="ArgumentException">The target is the base model's folder, or the names do not fit the classes.</exception>
    public static void Write(UpperModel model, ModelFolder baseModel, IReadOnlyList<string> classNames, string folder, ScalarType type = ScalarType.Float32)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(baseModel);
        ArgumentNullException.ThrowIfNull(classNames);
        if (Path.GetFullPath(folder) == Path.GetFullPath(baseModel.Path))
        {
            throw new ArgumentException($"{folder} is the base model's own folder; name another.", nameof(folder));
        }

        if (classNames.Count > 0 && classNames.Count != model.Options.Classes)
        {
            throw new ArgumentException($"{classNames.Count} names for {model.Options.Classes} classes.", nameof(classNames));
        }

        _ = Directory.CreateDirectory(folder);
        ModelFolderWriter.CopyTokenizer(baseModel.Path, folder);
        ModelFolderWriter.WriteWeights(folder, Weights(model, baseModel), type);
        var config = Config(model, baseModel, classNames, type).ToJsonString(_indented) + "\n";
        AtomicFile.Write(Path.Combine(folder, TransformerConfig.FileName), stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(config)));
    }

    private static IEnumerable<(string Name, long[] Shape, Func<Tensor> Make)> Weights(UpperModel model, ModelFolder baseModel)
    {
        var family = model.Config.Family;
        var classifies = model.Options.Head == HeadKind.Classification;
        var parameters = model.Parameters.ToDictionary(parameter => parameter.Name, parameter => parameter.Value);
        foreach (var name in baseModel.TensorNames.Where(name => name != "score.weight" && !(classifies && name == "lm_head.weight")))
        {
            var path = name.EndsWith(".weight", StringComparison.Ordinal) ? name[..^".weight".Length] : name;
            var isAdapted = parameters.TryGetValue(path + ".lora_A.weight", out var a);
            var shape = baseModel.Shape(name);
            yield return (
                ModelInitialization.InFile(family, name), shape,
                () => isAdapted
                    ? Merge(baseModel.Load(name, ScalarType.Float32), a!, parameters[path + ".lora_B.weight"], model.Options.Lora!.Scale, family)
                    : shape.Length == 2 && IsInBlockBelow(name, model.Options.Boundary) ? baseModel.LoadAsFrozen(name, ScalarType.Float32, shape)
                    : baseModel.Load(name, ScalarType.Float32));
        }

        if (classifies)
        {
            var score = parameters["score.weight"];
            yield return ("score.weight", score.shape, () => score.alias());
        }
    }

    // "h.3.attn.c_attn.weight" or "layers.3.mlp.up_proj.weight"
    private static bool IsInBlockBelow(string name, int boundary) =>
        name.Split('.') is [_, var block, _, ..] && int.TryParse(block, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < boundary;

    // W is [out, in], or [in, out] for GPT-2; A is [r, in] and B [out, r].
    private static Tensor Merge(Tensor weight, Tensor a, Tensor b, double scale, ModelFamily family)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var (left, right) = family == ModelFamily.Gpt2 ? (a.t(), b.t()) : (b, a);
        var product = left.to(ScalarType.Float64).matmul(right.to(ScalarType.Float64)).Times(scale);
        var merged = weight.to(ScalarType.Float64).Plus(product).to(ScalarType.Float32).MoveToOuterDisposeScope();
        weight.Dispose();
        return merged;
    }

    private static JsonObject Config(UpperModel model, ModelFolder baseModel, IReadOnlyList<string> classNames, ScalarType type)
    {
        var file = Path.Combine(baseModel.Path, TransformerConfig.FileName);
        var config = JsonNode.Parse(File.ReadAllBytes(file))!.AsObject();
        config["torch_dtype"] = type switch
        {
            ScalarType.Float16 => "float16",
            ScalarType.BFloat16 => "bfloat16",
            _ => "float32",
        };
        if (model.Options.Head != HeadKind.Classification)
        {
            return config;
        }

        var names = classNames.Count > 0 ? classNames : [.. Enumerable.Range(0, model.Options.Classes).Select(i => $"LABEL_{i}")];
        config["architectures"] = new JsonArray(model.Config.Family == ModelFamily.Gpt2 ? "GPT2ForSequenceClassification" : "LlamaForSequenceClassification");
        config["id2label"] = new JsonObject(names.Select((name, i) => KeyValuePair.Create(i.ToString(), (JsonNode?)name)));
        config["label2id"] = new JsonObject(names.Select((name, i) => KeyValuePair.Create(name, (JsonNode?)i)));

        // transformers finds the last token of a padded row by this id, and refuses batches without it.
        config["pad_token_id"] ??= model.Config.EndOfTextId;
        return config;
    }
}
