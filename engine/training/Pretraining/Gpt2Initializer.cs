using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Models;
using SplitFrozen.Training.Export;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pretraining;

/// <summary>
/// Writes a GPT-2 with the initial weights of the GPT-2 report (Radford and others, 2019) as transformers draws them: normal with
/// deviation 0.02, the two projections into the residual stream divided by √(2L), biases 0, norms 1.
/// </summary>
internal static class Gpt2Initializer
{
    private const double Deviation = 0.02;

    public static TransformerConfig Config(PretrainOptions options, int vocabularySize, int endOfText) => new()
    {
        Family = ModelFamily.Gpt2,
        Layers = options.Layers,
        Width = options.Width,
        Heads = options.Heads,
        KeyValueHeads = options.Heads,
        HeadWidth = options.Width / options.Heads,
        InnerWidth = 4 * options.Width,
        VocabularySize = vocabularySize,
        MaximumPositions = options.SequenceLength,
        NormEpsilon = 1e-5,
        TieWordEmbeddings = true,
        EndOfTextId = endOfText,
        BeginOfTextId = endOfText,
    };

    /// <summary>Canonical name and shape of every weight, linear weights as [in, out].</summary>
    public static IEnumerable<(string Name, long[] Shape)> Weights(TransformerConfig config)
    {
        long width = config.Width;
        yield return ("wte.weight", [config.VocabularySize, width]);
        yield return ("wpe.weight", [config.MaximumPositions, width]);
        for (var i = 0; i < config.Layers; i++)
        {
            yield return ($"h.{i}.ln_1.weight", [width]);
            yield return ($"h.{i}.ln_1.bias", [width]);
            yield return ($"h.{i}.attn.c_attn.weight", [width, 3 * width]);
            yield return ($"h.{i}.attn.c_attn.bias", [3 * width]);
            yield return ($"h.{i}.attn.c_proj.weight", [width, width]);
            yield return ($"h.{i}.attn.c_proj.bias", [width]);
            yield return ($"h.{i}.ln_2.weight", [width]);
            yield return ($"h.{i}.ln_2.bias", [width]);
            yield return ($"h.{i}.mlp.c_fc.weight", [width, config.InnerWidth]);
            yield return ($"h.{i}.mlp.c_fc.bias", [config.InnerWidth]);
            yield return ($"h.{i}.mlp.c_proj.weight", [config.InnerWidth, width]);
            yield return ($"h.{i}.mlp.c_proj.bias", [width]);
        }

        yield return ("ln_f.weight", [width]);
        yield return ("ln_f.bias", [width]);
    }

    public static void Write(string folder, TransformerConfig config, ulong seed)
    {
        _ = Directory.CreateDirectory(folder);
        config.Write(folder);
        ModelFolderWriter.WriteWeights(
            folder,
            Weights(config).Select(weight => (
                ModelFolderWriter.FullName(config.Family, weight.Name), weight.Shape, (Func<Tensor>)(() => Draw(weight.Name, weight.Shape, config.Layers, seed)))),
            ScalarType.Float32);
    }

    internal static Tensor Draw(string name, long[] shape, int layers, ulong seed)
    {
        if (shape.Length == 1)
        {
            return name.EndsWith(".weight", StringComparison.Ordinal) ? ones(shape) : zeros(shape);
        }

        var deviation = name.EndsWith("c_proj.weight", StringComparison.Ordinal) ? Deviation / Math.Sqrt(2.0 * layers) : Deviation;
        var random = SeededRandom.ForStream(seed, name);
        var values = new float[shape.Aggregate(1L, (product, extent) => product * extent)];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = (float)(random.NextGaussian() * deviation);
        }

        return tensor(values, shape);
    }
}
