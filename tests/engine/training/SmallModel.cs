using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Training.FineTuning;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests;

/// <summary>An untrained model of four blocks in a folder of its own, and samples for it.</summary>
internal sealed class SmallModel : IDisposable
{
    private readonly TemporaryFolder _parent = new();

    public SmallModel(ModelFamily family = ModelFamily.Gpt2)
    {
        Path = _parent.File("base");
        ModelInitialization.Write(Path, Config(family), seed: 3);
        Folder = ModelFolder.Open(Path);
    }

    public string Path { get; }

    public ModelFolder Folder { get; }

    public string File(string name) => _parent.File(name);

    public static LoraConfig Lora(ModelFamily family, double dropout = 0) => new(
        2, 8, dropout, family == ModelFamily.Gpt2 ? ["c_attn", "c_proj"] : ["q_proj", "v_proj", "down_proj"], RankStabilized: false);

    public UpperModel Open(int lowestCut = 1, int boundary = 2, HeadKind head = HeadKind.Classification, double dropout = 0, LoraConfig? lora = null) =>
        UpperModel.Open(Folder, Options(lowestCut, boundary, head, dropout, lora));

    public UpperModelOptions Options(int lowestCut = 1, int boundary = 2, HeadKind head = HeadKind.Classification, double dropout = 0, LoraConfig? lora = null) => new()
    {
        LowestCut = lowestCut,
        Boundary = boundary,
        Head = head,
        Classes = head == HeadKind.Classification ? 3 : 0,
        Lora = lora ?? Lora(Folder.Config.Family, dropout),
        Seed = 11,
    };

    /// <summary>Gives every LoRA matrix, B included, and the head small random values.</summary>
    public static void Perturb(UpperModel model)
    {
        using var frozen = no_grad();
        var random = new SeededRandom(17);
        foreach (var parameter in model.Parameters)
        {
            var values = new float[parameter.Value.NumberOfElements];
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = (float)(0.1 * random.NextGaussian());
            }

            using var noise = tensor(values, parameter.Value.shape);
            parameter.Value.copy_(noise);
        }
    }

    /// <summary>Samples of 2 to 7 tokens at the given cuts, taken in turn.</summary>
    public TrainingSample[] Samples(int count, int[] cuts, bool labelsPerToken = false, int seed = 5)
    {
        var random = new SeededRandom((ulong)seed);
        var encoders = cuts.Distinct().ToDictionary(cut => cut, cut => FrozenEncoder.Open(Folder, cut));
        var samples = new TrainingSample[count];
        for (var i = 0; i < count; i++)
        {
            var tokens = new int[2 + random.NextInt32(6)];
            for (var t = 0; t < tokens.Length; t++)
            {
                tokens[t] = random.NextInt32(Folder.Config.VocabularySize);
            }

            int[] labels = labelsPerToken ? [.. tokens.Select((token, t) => t % 3 == 0 ? -100 : token)] : [random.NextInt32(3)];
            using var layout = new SequenceLayout([tokens.Length]);
            var cut = cuts[i % cuts.Length];
            samples[i] = new TrainingSample(SampleId.Training(i), cut, encoders[cut].Encode(tokens, layout), labels);
        }

        foreach (var encoder in encoders.Values)
        {
            encoder.Dispose();
        }

        return samples;
    }

    public void Dispose()
    {
        Folder.Dispose();
        _parent.Dispose();
    }

    private static TransformerConfig Config(ModelFamily family) => new()
    {
        Family = family,
        Layers = 4,
        Width = 16,
        Heads = 4,
        KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2,
        HeadWidth = 4,
        InnerWidth = 32,
        VocabularySize = 40,
        MaximumPositions = 12,
        NormEpsilon = 1e-5,
        TieWordEmbeddings = family == ModelFamily.Gpt2,
        Rope = family == ModelFamily.Gpt2 ? null : new RopeConfig(10000, null),
        EndOfTextId = 39,
    };
}
