using System.Buffers.Binary;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models.Weights;

namespace SplitFrozen.Models;

/// <summary>
/// Makes an untrained model: normal weights of deviation 0.02, divided by <c>√(2L)</c> in the layers that end a residual branch
/// (Radford et al., 2019), biases 0 and norms 1. Every tensor has its own generator, named after it.
/// </summary>
public static class ModelInitialization
{
    private const double Deviation = 0.02;

    /// <summary>Writes <c>config.json</c> and <c>model.safetensors</c> (f32) into a folder, which is made if needed.</summary>
    /// <param name="folder">Target folder.</param>
    /// <param name="config">Sizes of the model.</param>
    /// <param name="seed">Seed; the same seed writes the same bytes.</param>
    public static void Write(string folder, TransformerConfig config, ulong seed)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(config);
        Directory.CreateDirectory(folder);
        config.Write(folder);
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt");
        foreach (var (name, shape) in Shapes(config))
        {
            writer.Add(InFile(config.Family, name), ElementType.Float32, shape, Values(config, name, shape, seed));
        }

        using var stream = File.Create(Path.Combine(folder, "model.safetensors"));
        writer.WriteTo(stream);
    }

    /// <summary>The name under which Hugging Face files keep a weight of this canonical name.</summary>
    public static string InFile(ModelFamily family, string name) => name is "lm_head.weight" or "score.weight" ? name : TensorNaming.Prefix(family) + name;

    /// <summary>Canonical name and shape of every weight of a model.</summary>
    public static IEnumerable<(string Name, long[] Shape)> Shapes(TransformerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        var body = config.Family == ModelFamily.Gpt2 ? Gpt2Shapes(config) : LlamaShapes(config);
        return config.TieWordEmbeddings ? body : body.Append(("lm_head.weight", [config.VocabularySize, config.Width]));
    }

    private static IEnumerable<(string Name, long[] Shape)> Gpt2Shapes(TransformerConfig config)
    {
        long width = config.Width;
        yield return ("wte.weight", [config.VocabularySize, width]);
        yield return ("wpe.weight", [config.MaximumPositions, width]);
        for (var i = 0; i < config.Layers; i++)
        {
            foreach (var (layer, from, to) in new[]
            {
                ("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width), ("mlp.c_fc", width, config.InnerWidth), ("mlp.c_proj", config.InnerWidth, width),
            })
            {
                yield return ($"h.{i}.{layer}.weight", [from, to]);
                yield return ($"h.{i}.{layer}.bias", [to]);
            }

            foreach (var part in new[] { "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias" })
            {
                yield return ($"h.{i}.{part}", [width]);
            }
        }

        yield return ("ln_f.weight", [width]);
        yield return ("ln_f.bias", [width]);
    }

    private static IEnumerable<(string Name, long[] Shape)> LlamaShapes(TransformerConfig config)
    {
        long width = config.Width, queries = config.Heads * config.HeadWidth, keys = config.KeyValueHeads * config.HeadWidth, inner = config.InnerWidth;
        yield return ("embed_tokens.weight", [config.VocabularySize, width]);
        for (var i = 0; i < config.Layers; i++)
        {
            yield return ($"layers.{i}.self_attn.q_proj.weight", [queries, width]);
            yield return ($"layers.{i}.self_attn.k_proj.weight", [keys, width]);
            yield return ($"layers.{i}.self_attn.v_proj.weight", [keys, width]);
            yield return ($"layers.{i}.self_attn.o_proj.weight", [width, queries]);
            yield return ($"layers.{i}.mlp.gate_proj.weight", [inner, width]);
            yield return ($"layers.{i}.mlp.up_proj.weight", [inner, width]);
            yield return ($"layers.{i}.mlp.down_proj.weight", [width, inner]);
            yield return ($"layers.{i}.input_layernorm.weight", [width]);
            yield return ($"layers.{i}.post_attention_layernorm.weight", [width]);
        }

        yield return ("norm.weight", [width]);
    }

    private static byte[] Values(TransformerConfig config, string name, long[] shape, ulong seed)
    {
        var count = shape.Aggregate(1L, (product, extent) => product * extent);
        var bytes = new byte[checked(count * sizeof(float))];
        var isNorm = shape.Length == 1 && name.EndsWith(".weight", StringComparison.Ordinal);
        var deviation = shape.Length == 1 ? 0 : EndsBranch(name) ? Deviation / Math.Sqrt(2.0 * config.Layers) : Deviation;
        var random = SeededRandom.ForStream(seed, name);
        for (var i = 0; i < count; i++)
        {
            var value = isNorm ? 1 : deviation == 0 ? 0 : (float)(random.NextGaussian() * deviation);
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), value);
        }

        return bytes;
    }

    private static bool EndsBranch(string name) =>
        name.EndsWith(".c_proj.weight", StringComparison.Ordinal)
        || name.EndsWith(".o_proj.weight", StringComparison.Ordinal)
        || name.EndsWith(".down_proj.weight", StringComparison.Ordinal);
}
