using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Torch;
using SplitFrozen.Training.Files;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Export;

/// <summary>Writes a model folder in Hugging Face layout, with one <c>model.safetensors</c>.</summary>
internal static class ModelFolderWriter
{
    public const string WeightsFile = "model.safetensors";

    private static readonly string[] _tokenizerFiles =
    [
        "vocab.json", "merges.txt", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "generation_config.json",
    ];

    /// <summary>Writes the weights; each tensor is made when it is written and disposed afterwards.</summary>
    public static void WriteWeights(string folder, IEnumerable<(string Name, long[] Shape, Func<Tensor> Make)> weights, ScalarType type)
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt");
        foreach (var (name, shape, make) in weights)
        {
            writer.Add(name, type.ToElementType(), shape, stream =>
            {
                using var made = make();
                using var stored = made.to(type);
                using var contiguous = stored.contiguous();
                stream.Write(TensorBytes.View(contiguous));
            });
        }

        AtomicFile.Write(Path.Combine(folder, WeightsFile), writer.WriteTo);
    }

    /// <summary>Copies the tokenizer files that are in <paramref name="source"/>.</summary>
    public static void CopyTokenizer(string source, string target)
    {
        foreach (var name in _tokenizerFiles)
        {
            var file = Path.Combine(source, name);
            if (File.Exists(file) && Path.GetFullPath(source) != Path.GetFullPath(target))
            {
                File.Copy(file, Path.Combine(target, name), overwrite: true);
            }
        }
    }
}
