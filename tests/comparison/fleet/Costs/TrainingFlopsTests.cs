using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Fleet.Tests.Costs;

/// <summary>The formulas against the products that the engine really computes. Head width 16 is where its own attention kernel works.</summary>
public sealed class TrainingFlopsTests
{
    private static readonly int[] s_lengths = [7, 12, 5, 8];

    public static TheoryData<ModelFamily, HeadKind, int, string[]> Passes => new()
    {
        { ModelFamily.Gpt2, HeadKind.Classification, 0, ["c_attn"] },
        { ModelFamily.Gpt2, HeadKind.Classification, 1, ["c_attn", "c_proj", "c_fc"] },
        { ModelFamily.Gpt2, HeadKind.Classification, 2, ["mlp.c_proj"] },
        { ModelFamily.Gpt2, HeadKind.LanguageModel, 0, ["attn.c_proj"] },
        { ModelFamily.Gpt2, HeadKind.LanguageModel, 1, ["c_attn", "c_fc"] },
        { ModelFamily.Llama, HeadKind.Classification, 1, ["q_proj", "v_proj"] },
        { ModelFamily.Llama, HeadKind.Classification, 0, ["gate_proj"] },
        { ModelFamily.Llama, HeadKind.LanguageModel, 1, ["o_proj", "up_proj", "down_proj"] },
        { ModelFamily.Llama, HeadKind.LanguageModel, 2, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] },
    };

    [Theory]
    [MemberData(nameof(Passes))]
    public void Trained_LinearWork_IsWhatTheEngineMultiplies(ModelFamily family, HeadKind head, int boundary, string[] targets)
    {
        using var model = SmallModel.Make(family);
        var lora = new LoraConfig(3, 6, 0, targets, RankStabilized: false);
        using var upper = UpperModel.Open(model.Folder, new UpperModelOptions { LowestCut = boundary, Boundary = boundary, Head = head, Classes = 3, Lora = lora });
        var config = model.Folder.Config;
        var flops = new TrainingFlops(config, lora, head, 3);

        using var layout = new SequenceLayout(s_lengths);
        using var hidden = randn(layout.Tokens, config.Width);
        var labels = Labels(head, layout);
        using var deferred = new WeightGradients();
        ForwardPass? pass = null;
        var forward = ProductCounter.Count(() => pass = upper.Forward(hidden, layout, labels, dropoutSeed: 0, training: true));
        var input = ProductCounter.Count(() => pass!.BackwardInput(1, deferred));
        var weights = ProductCounter.Count(deferred.Run);
        pass!.Dispose();

        var expected = Sum(flops, config, boundary, head);
        var attention = ModelFlops.AttentionForward(config, s_lengths);
        var blocks = config.Layers - boundary;

        // All blocks above the lowest one go backward through their attention, and that one where an adapter lies below it.
        string[] belowAttention = ["c_attn", "q_proj", "k_proj", "v_proj"];
        var backwards = blocks - (targets.Any(belowAttention.Contains) ? 0 : 1);

        // The head computes its gradients together with the loss, in the forward call.
        var headProduct = 2L * (head == HeadKind.Classification ? 3 : config.VocabularySize) * config.Width * Sizes(head).Sum(size => size.CountedLabels);
        var headWeight = head == HeadKind.Classification ? headProduct : 0;
        Assert.Equal(expected.Forward - (blocks * attention) + headProduct + headWeight, forward);
        Assert.Equal(expected.BackwardInput - (backwards * 2 * attention) - headProduct, input);
        Assert.Equal(expected.BackwardWeight - headWeight, weights);
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void Frozen_LinearWork_IsWhatTheDeviceMultiplies(ModelFamily family)
    {
        using var model = SmallModel.Make(family);
        using var encoder = FrozenEncoder.Open(model.Folder, 2);
        var config = model.Folder.Config;
        var flops = new TrainingFlops(config, lora: null, HeadKind.Classification, 2);

        // 64 tokens: the tiles of the frozen blocks are full, and no padding is multiplied.
        int[] lengths = [10, 14, 16, 12, 12];
        using var layout = new SequenceLayout(lengths);
        var counted = ProductCounter.Count(() => encoder.Encode(new int[layout.Tokens], layout).Dispose());

        var expected = lengths.Sum(length => flops.Frozen(0, 2, new SampleSize(length, 1)));
        Assert.Equal(expected - (2 * ModelFlops.AttentionForward(config, lengths)), counted);
    }

    [Fact]
    public void Attention_Forward_IsFourPerElementAndVisiblePair()
    {
        var config = SmallModel.Config(ModelFamily.Llama);
        var operations = 0L;
        foreach (var length in s_lengths)
        {
            for (var head = 0; head < config.Heads; head++)
            {
                for (var query = 0; query < length; query++)
                {
                    for (var key = 0; key <= query; key++)
                    {
                        // A product and a sum for every element of the score, and again for the weighted value.
                        operations += 2 * config.HeadWidth;
                        operations += 2 * config.HeadWidth;
                    }
                }
            }
        }

        Assert.Equal(operations, ModelFlops.AttentionForward(config, s_lengths));
    }

    [Fact]
    public void Trained_WithInputGradient_AddsWhatTheLowestBlockSavesWithout()
    {
        // Backward through c_attn to the slice's input costs its product and that of its adapter's A, for every token.
        var config = SmallModel.Config(ModelFamily.Gpt2);
        var lora = new LoraConfig(3, 6, 0, ["c_attn"], RankStabilized: false);
        var flops = new TrainingFlops(config, lora, HeadKind.Classification, 2);
        var sample = new SampleSize(9, 1);
        var (without, with) = (flops.Trained(1, 3, sample, needInput: false), flops.Trained(1, 3, sample, needInput: true));
        Assert.Equal(without.Forward, with.Forward);
        Assert.Equal(without.BackwardWeight, with.BackwardWeight);
        Assert.Equal(2L * 9 * config.Width * ((3 * config.Width) + lora.Rank), with.BackwardInput - without.BackwardInput);
    }

    private static PassFlops Sum(TrainingFlops flops, TransformerConfig config, int from, HeadKind head) =>
        Sizes(head).Aggregate(default(PassFlops), (sum, size) => sum + flops.Trained(from, config.Layers, size, needInput: false));

    private static SampleSize[] Sizes(HeadKind head) => [.. s_lengths.Select(length => new SampleSize(length, head == HeadKind.Classification ? 1 : length - 1))];

    private static int[] Labels(HeadKind head, SequenceLayout layout) => head == HeadKind.Classification
        ? [.. Enumerable.Range(0, layout.Sequences).Select(sequence => sequence % 3)]
        : [.. layout.Lengths.SelectMany(length => Enumerable.Range(0, length).Select(position => position == length - 1 ? -100 : position))];
}
