using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class FiniteDifferenceTests
{
    private const double Step = 1e-5;
    private static readonly int[] _lengths = [3, 1, 7, 4];

    public FiniteDifferenceTests() => LibtorchLoader.Load();

    [Theory]
    [InlineData(ModelFamily.Gpt2, HeadKind.Classification, 0.0)]
    [InlineData(ModelFamily.Gpt2, HeadKind.LanguageModel, 0.3)]
    [InlineData(ModelFamily.Llama, HeadKind.Classification, 0.3)]
    [InlineData(ModelFamily.Llama, HeadKind.LanguageModel, 0.0)]
    public void Adapters_OnAllLinearLayers_MatchCentralDifferences(ModelFamily family, HeadKind head, double dropout)
    {
        string[] targets = family == ModelFamily.Gpt2 ? ["c_attn", "c_proj", "c_fc"] : ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        using var model = SmallModel.Make(family);
        using var upper = UpperModel.Open(model.Folder, new UpperModelOptions
        {
            LowestCut = 1, Boundary = 1, Head = head, Classes = 3, Seed = 5, Compute = ScalarType.Float64,
            Lora = new LoraConfig(2, 8, dropout, targets, RankStabilized: false),
        });
        Fill(upper);
        using var layout = new SequenceLayout(_lengths);
        using var encoder = FrozenEncoder.Open(model.Folder, 1, ScalarType.Float64);
        using var hidden = encoder.Encode(Tokens(), layout);
        var labels = head == HeadKind.Classification ? [0, 2, 1, 1] : Targets();

        Check(upper, training => upper.Forward(hidden, layout, labels, dropoutSeed: 3, training));
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void AllWeights_EmbeddingsAndNormsIncluded_MatchCentralDifferences(ModelFamily family)
    {
        using var model = SmallModel.Make(family);
        using var upper = UpperModel.Open(model.Folder, new UpperModelOptions
        {
            LowestCut = 0, Boundary = 0, Head = HeadKind.LanguageModel, TrainAllWeights = true, Compute = ScalarType.Float64,
        });
        Fill(upper);
        using var layout = new SequenceLayout(_lengths);

        Assert.Equal(ModelInitialization.Shapes(model.Folder.Config).Select(entry => entry.Name).Order(), upper.Parameters.Select(parameter => parameter.Name).Order());
        Check(upper, training => upper.ForwardTokens(Tokens(), layout, Targets(), training));
    }

    private static int[] Tokens() => [.. Enumerable.Range(0, _lengths.Sum()).Select(t => (t * 11) % 29)];

    private static int[] Targets() => [.. Enumerable.Range(0, _lengths.Sum()).Select(t => t % 4 == 1 ? -100 : (t * 5) % 29)];

    // Small random values everywhere, so that no gradient is zero and no layer is near linear.
    private static void Fill(UpperModel upper)
    {
        var random = new SeededRandom(11);
        foreach (var parameter in upper.Parameters)
        {
            var isNorm = parameter.Value.dim() == 1 && parameter.Name.EndsWith("weight", StringComparison.Ordinal);
            var values = Enumerable.Range(0, (int)parameter.Value.numel()).Select(_ => (isNorm ? 1 : 0) + (0.3 * random.NextGaussian())).ToArray();
            using var tensor = Make(values, parameter.Value.shape);
            parameter.Value.copy_(tensor);
        }
    }

    private static Tensor Make(double[] values, long[] shape) => tensor(values, shape, ScalarType.Float64);

    private static void Check(UpperModel upper, Func<bool, ForwardPass> forward)
    {
        const double LossScale = 0.25;
        using var deferred = new WeightGradients();
        using (var pass = forward(true))
        {
            pass.BackwardInput(LossScale, deferred);
            Assert.All(upper.Parameters, parameter => Assert.Null(parameter.Gradient));
        }

        deferred.Run();
        var random = new SeededRandom(13);
        foreach (var parameter in upper.Parameters)
        {
            using var scope = NewDisposeScope();
            var direction = Make([.. Enumerable.Range(0, (int)parameter.Value.numel()).Select(_ => random.NextGaussian())], parameter.Value.shape);
            direction.div_(direction.norm());
            var expected = (Loss(Step) - Loss(-2 * Step)) / (2 * Step) * LossScale;
            Loss(Step);
            var actual = (parameter.Gradient! * direction).sum().item<double>();

            Assert.True(Math.Abs(expected) > 1e-6, $"{parameter.Name} has no influence on the loss; the test would prove nothing.");
            Assert.True(
                Math.Abs(expected - actual) <= 1e-6 * Math.Max(Math.Abs(expected), 1e-2), $"{parameter.Name}: {actual} instead of {expected}");

            double Loss(double step)
            {
                parameter.Value.add_(direction, step);
                using var pass = forward(true);
                return pass.Loss;
            }
        }
    }
}
