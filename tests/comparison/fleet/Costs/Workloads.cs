using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Tests.Costs;

/// <summary>Workloads over the two models that the questions are about.</summary>
internal static class Workloads
{
    /// <summary>GPT-2 small.</summary>
    public static TransformerConfig Gpt2Small { get; } = new()
    {
        Family = ModelFamily.Gpt2, Layers = 12, Width = 768, Heads = 12, KeyValueHeads = 12, HeadWidth = 64, InnerWidth = 3072,
        VocabularySize = 50257, MaximumPositions = 1024, NormEpsilon = 1e-5, TieWordEmbeddings = true,
    };

    /// <summary>The model in samples/base-model.</summary>
    public static TransformerConfig SampleModel { get; } = Gpt2Small with
    {
        Layers = 6, Width = 256, Heads = 4, KeyValueHeads = 4, InnerWidth = 1024, VocabularySize = 4096, MaximumPositions = 128,
    };

    /// <summary>Two-class sentences of 10 to 40 tokens, some hundred to a client.</summary>
    public static Workload Classification(TransformerConfig model, int boundary, int clients = 8, int samples = 200, int epochs = 1, string[]? targets = null) => new()
    {
        Model = model,
        Lora = new LoraConfig(8, 16, 0, targets ?? ["c_attn"], RankStabilized: false),
        Head = HeadKind.Classification,
        Clients = [.. Enumerable.Range(0, clients).Select(client => Sentences((ulong)client, samples))],
        Epochs = epochs,
        Boundary = boundary,
    };

    private static SampleSize[] Sentences(ulong client, int count)
    {
        var random = SeededRandom.ForStream(1, "sentences", client);
        return [.. Enumerable.Range(0, count).Select(_ => new SampleSize(10 + random.NextInt32(31), 1))];
    }
}
