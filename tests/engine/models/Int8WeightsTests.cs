using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

/// <summary>A model whose frozen blocks hold int8 weights.</summary>
public sealed class Int8WeightsTests
{
    private static readonly int[] _lengths = [5, 1, 8, 3];

    public Int8WeightsTests() => LibtorchLoader.Load();

    [Theory]
    [InlineData(ModelFamily.Gpt2, 16, 24)]
    [InlineData(ModelFamily.Llama, 64, 172)]
    [InlineData(ModelFamily.Gpt2, 768, 3072)]
    public void Sequence_AloneOrAmongOthers_IsTheSameBits(ModelFamily family, int width, int innerWidth)
    {
        using var model = Make(family, width, innerWidth);
        using var int8 = Int8(model);
        using var encoder = FrozenEncoder.Open(int8, 2);
        int[] lengths = [5, 1, 12, 3, .. Enumerable.Range(0, 40).Select(i => 1 + (i * 7 % 12))];
        using var together = new SequenceLayout(lengths);
        Assert.True(together.Tokens > 2 * 128, "the sequences must lie in several products");
        var tokens = Tokens(together.Tokens);
        using var all = encoder.Encode(tokens, together);
        var start = 0;
        foreach (var length in lengths)
        {
            using var alone = new SequenceLayout([length]);
            using var single = encoder.Encode(tokens[start..(start + length)], alone);
            using var among = all.narrow(0, start, length);
            Comparison.AssertSameBits(single, among);
            start += length;
        }
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void EncodeThenCatchUp_AtEveryCut_EqualsUnsplitBitForBit(ModelFamily family)
    {
        using var model = SmallModel.Make(family);
        using var int8 = Int8(model);
        using var layout = new SequenceLayout(_lengths);
        var tokens = Tokens(layout.Tokens);
        var boundary = int8.Config.Layers - 1;
        using var whole = FrozenEncoder.Open(int8, boundary);
        using var expected = whole.Encode(tokens, layout);
        using var upper = UpperModel.Open(int8, new UpperModelOptions { LowestCut = 0, Boundary = boundary, Head = HeadKind.Classification, Classes = 2 });
        for (var cut = 0; cut <= boundary; cut++)
        {
            using var encoder = FrozenEncoder.Open(int8, cut);
            using var atCut = encoder.Encode(tokens, layout);
            using var atBoundary = upper.CatchUp(atCut, layout, cut);
            Comparison.AssertSameBits(expected, atBoundary);
        }
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2, 16, 24)]
    [InlineData(ModelFamily.Llama, 64, 172)]
    [InlineData(ModelFamily.Gpt2, 256, 1024)]
    public void HiddenStates_AreThoseOfTheNumbersThatInt8StandsFor(ModelFamily family, int width, int innerWidth)
    {
        using var model = Make(family, width, innerWidth);
        using var int8 = Int8(model);
        using var layout = new SequenceLayout(_lengths);
        var tokens = Tokens(layout.Tokens);
        using var computed = Encode(int8, tokens, layout, ScalarType.Float32);
        using var exact = Encode(int8, tokens, layout, ScalarType.Float64);
        using var unrounded = Encode(model.Folder, tokens, layout, ScalarType.Float64);

        // Rows of 15 bits lose a thousandth of what weights of 8 bits do.
        var (ofRows, ofWeights) = (Distance(computed, exact), Distance(exact, unrounded));
        Assert.True(ofRows < 5e-4, $"rows: {ofRows}");
        Assert.True(ofWeights is > 1e-4 and < 5e-2, $"weights: {ofWeights}");
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2, "h.1.mlp.c_fc.weight")]
    [InlineData(ModelFamily.Llama, "layers.1.mlp.up_proj.weight")]
    public void LoadAsFrozen_RoundsEachOutputToItsOwnScale(ModelFamily family, string name)
    {
        using var model = SmallModel.Make(family);
        using var int8 = Int8(model);
        using var scope = NewDisposeScope();
        var shape = int8.Shape(name);
        long inputs = family == ModelFamily.Gpt2 ? 0 : 1;
        var exact = model.Folder.Load(name, ScalarType.Float64);
        var rounded = int8.LoadAsFrozen(name, ScalarType.Float64, shape);

        var scales = exact.abs().amax([inputs], keepdim: true) / 127;
        Assert.True(((rounded - exact).abs() <= scales * 0.501).all().item<bool>());
        Assert.True(((rounded / scales) - (rounded / scales).round()).abs().max().item<double>() < 1e-4);
        Assert.Equal(shape, rounded.shape);
    }

    [Fact]
    public void Fingerprint_OfInt8_IsAnotherOneAndFixed()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var first = Int8(model);
        using var second = Int8(model);

        Assert.Matches("^[0-9a-f]{64}$", first.Fingerprint);
        Assert.Equal(first.Fingerprint, second.Fingerprint);
        Assert.NotEqual(model.Folder.Fingerprint, first.Fingerprint);
    }

    private static SmallModel Make(ModelFamily family, int width, int innerWidth) =>
        SmallModel.Make(SmallModel.Config(family) with { Width = width, HeadWidth = width / 4, InnerWidth = innerWidth });

    private static ModelFolder Int8(SmallModel model) => ModelFolder.Open(model.Folder.Path, FrozenWeights.Int8);

    private static int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(i => (i * 11) % 29)];

    private static Tensor Encode(ModelFolder folder, int[] tokens, SequenceLayout layout, ScalarType type)
    {
        using var encoder = FrozenEncoder.Open(folder, folder.Config.Layers, type);
        return encoder.Encode(tokens, layout);
    }

    private static double Distance(Tensor left, Tensor right)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (left.to(ScalarType.Float64), right.to(ScalarType.Float64));
        return ((a - b).norm() / b.norm()).item<double>();
    }
}
