using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class SplitTests
{
    private static readonly int[] _lengths = [5, 1, 8, 3];

    public SplitTests() => LibtorchLoader.Load();

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void EncodeThenCatchUp_AtEveryCutAndBoundary_EqualsUnsplitBitForBit(ModelFamily family)
    {
        using var model = SmallModel.Make(family);
        using var layout = new SequenceLayout(_lengths);
        var tokens = Tokens(layout.Tokens);
        for (var boundary = 0; boundary <= model.Folder.Config.Layers; boundary++)
        {
            using var whole = FrozenEncoder.Open(model.Folder, boundary);
            using var expected = whole.Encode(tokens, layout);
            using var upper = Classifier(model, lowestCut: 0, boundary);
            for (var cut = 0; cut <= boundary; cut++)
            {
                using var encoder = FrozenEncoder.Open(model.Folder, cut);
                using var atCut = encoder.Encode(tokens, layout);
                using var atBoundary = upper.CatchUp(atCut, layout, cut);

                Comparison.AssertSameBits(expected, atBoundary);
            }
        }
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void Logits_AtEveryBoundary_AreTheSame(ModelFamily family)
    {
        using var model = SmallModel.Make(family);
        using var layout = new SequenceLayout(_lengths);
        var tokens = Tokens(layout.Tokens);
        Tensor? expected = null;
        for (var boundary = 0; boundary <= model.Folder.Config.Layers; boundary++)
        {
            using var encoder = FrozenEncoder.Open(model.Folder, boundary);
            using var hidden = encoder.Encode(tokens, layout);
            using var upper = Classifier(model, boundary, boundary);
            using var logits = upper.Logits(hidden, layout);

            expected ??= logits.clone();
            Comparison.AssertClose(expected, logits, 1e-6, $"boundary {boundary}");
        }

        expected!.Dispose();
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2, 16, 24)]
    [InlineData(ModelFamily.Llama, 16, 24)]
    [InlineData(ModelFamily.Llama, 64, 172)]
    [InlineData(ModelFamily.Gpt2, 256, 1024)]
    [InlineData(ModelFamily.Gpt2, 768, 3072)]
    public void Sequence_AloneOrAmongOthers_IsTheSameBits(ModelFamily family, int width, int innerWidth)
    {
        using var model = SmallModel.Make(SmallModel.Config(family) with { Width = width, HeadWidth = width / 4, InnerWidth = innerWidth });
        using var encoder = FrozenEncoder.Open(model.Folder, 2);
        int[] lengths = [5, 1, 12, 3, .. Enumerable.Range(0, 20).Select(i => 1 + (i * 7 % 12))];
        using var together = new SequenceLayout(lengths);
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

    [Fact]
    public void LaterToken_Changed_LeavesEarlierRowsAlone()
    {
        using var model = SmallModel.Make(ModelFamily.Llama);
        using var encoder = FrozenEncoder.Open(model.Folder, 3);
        using var layout = new SequenceLayout([4, 6]);
        var tokens = Tokens(10);
        using var before = encoder.Encode(tokens, layout);
        tokens[8] = (tokens[8] + 1) % 29;
        using var after = encoder.Encode(tokens, layout);

        Comparison.AssertSameBits(before.narrow(0, 0, 8), after.narrow(0, 0, 8));
        Assert.True(Comparison.RelativeError(before.narrow(0, 8, 2), after.narrow(0, 8, 2)) > 1e-3);
    }

    [Fact]
    public void RecordedFlops_OfOneBlock_EqualCountByHand()
    {
        var config = SmallModel.Config(ModelFamily.Llama);
        const long PerToken = 2 * ((16 * 16) + (2 * 16 * 8) + (16 * 16) + (3 * 16 * 24));

        Assert.Equal((2 * 7 * PerToken) + (2 * 4 * 16 * (10 + 6)), FrozenEncoder.ForwardFlops(config, 2, [4, 3]));
    }

    [Fact]
    public void Encode_IdOutsideVocabularyOrTooLong_NamesIt()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var encoder = FrozenEncoder.Open(model.Folder, 1);
        using var layout = new SequenceLayout([2]);
        using var tooLong = new SequenceLayout([13]);

        Assert.Contains("Token id 29", Assert.Throws<ArgumentException>(() => encoder.Encode([3, 29], layout)).Message, StringComparison.Ordinal);
        Assert.Contains("12 positions", Assert.Throws<ArgumentException>(() => encoder.Encode(new int[13], tooLong)).Message, StringComparison.Ordinal);
    }

    private static int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(t => (t * 13) % 29)];

    private static UpperModel Classifier(SmallModel model, int lowestCut, int boundary) => UpperModel.Open(
        model.Folder, new UpperModelOptions { LowestCut = lowestCut, Boundary = boundary, Head = HeadKind.Classification, Classes = 3, Seed = 1 });
}
