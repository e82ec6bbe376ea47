using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class UpperModelTests
{
    public UpperModelTests() => LibtorchLoader.Load();

    [Theory]
    [InlineData(ModelFamily.Gpt2, ScalarType.Float32)]
    [InlineData(ModelFamily.Gpt2, ScalarType.Float64)]
    [InlineData(ModelFamily.Llama, ScalarType.Float32)]
    [InlineData(ModelFamily.Llama, ScalarType.Float64)]
    public void Step_WhenOver_LeavesNoTensorBehind(ModelFamily family, ScalarType type)
    {
        using var model = SmallModel.Make(family);
        using var upper = Open(model, HeadKind.Classification, dropout: 0.1, type);
        using var encoder = FrozenEncoder.Open(model.Folder, 1, type);
        using var layout = new SequenceLayout([3, 5]);
        Step(encoder, upper, layout);
        var before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;

        Step(encoder, upper, layout);

        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Everything_Disposed_LeavesNoTensorBehind()
    {
        using var model = SmallModel.Make(ModelFamily.Llama);
        var before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        using (var upper = Open(model, HeadKind.Classification, dropout: 0, ScalarType.Float32))
        using (var encoder = FrozenEncoder.Open(model.Folder, 1))
        using (var layout = new SequenceLayout([3, 5]))
        {
            Step(encoder, upper, layout);
        }

        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void MergeAdapters_OfTwoSets_ActAsTheirStackedAdapter(ModelFamily family)
    {
        using var model = SmallModel.Make(family);
        using var merged = Open(model, HeadKind.Classification, dropout: 0, ScalarType.Float64);
        using var stacked = UpperModel.Open(model.Folder, merged.Options with { Lora = merged.Options.Lora! with { Rank = 2 * merged.Options.Lora.Rank, Alpha = 2 * merged.Options.Lora.Alpha } });
        var random = new SeededRandom(4);
        double[] shares = [0.3, 0.7];
        foreach (var parameter in stacked.Parameters.Where(parameter => parameter.Name.Contains("lora", StringComparison.Ordinal)))
        {
            using var values = tensor(Enumerable.Range(0, (int)parameter.Value.NumberOfElements).Select(_ => 0.3 * random.NextGaussian()).ToArray(), parameter.Value.shape);
            _ = parameter.Value.copy_(values);
        }

        for (var set = 0; set < 2; set++)
        {
            TakeSet(stacked, merged, set);
            merged.MergeAdapters(shares[set]);
        }

        merged.RestartAdapters(seed: 9);
        foreach (var parameter in stacked.Parameters.Where(parameter => parameter.Name.EndsWith("lora_B.weight", StringComparison.Ordinal)))
        {
            // Stacking: [share₁B₁ share₂B₂] [A₁; A₂] is the weighted sum of the products.
            using var columns = tensor(new[] { shares[0], shares[0], shares[1], shares[1] });
            _ = parameter.Value.mul_(columns);
        }

        using var layout = new SequenceLayout([4]);
        using var hidden = randn(4, 16, ScalarType.Float64);
        using var expected = stacked.Logits(hidden, layout);
        using var actual = merged.Logits(hidden, layout);
        Comparison.AssertClose(expected, actual, 1e-12, "logits");
        Assert.All(merged.Parameters.Where(parameter => parameter.Name.EndsWith("lora_B.weight", StringComparison.Ordinal)), b => Assert.Equal(0, b.Value.abs().max().item<double>()));
    }

    [Fact]
    public void Dropout_SameSeed_DrawsTheSameMasks()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var upper = Open(model, HeadKind.Classification, dropout: 0.5, ScalarType.Float32);
        foreach (var parameter in upper.Parameters.Where(parameter => parameter.Name.Contains("lora_B", StringComparison.Ordinal)))
        {
            _ = parameter.Value.fill_(0.3);
        }

        Assert.Equal(Loss(upper, seed: 1, training: true), Loss(upper, seed: 1, training: true));
        Assert.NotEqual(Loss(upper, seed: 1, training: true), Loss(upper, seed: 2, training: true));
        Assert.Equal(Loss(upper, seed: 1, training: false), Loss(upper, seed: 2, training: false));
    }

    [Fact]
    public void Adapters_Fresh_ChangeNothingAndAreBounded()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var adapted = Open(model, HeadKind.LanguageModel, dropout: 0, ScalarType.Float32);
        using var plain = UpperModel.Open(model.Folder, new UpperModelOptions { LowestCut = 1, Boundary = 1, Head = HeadKind.LanguageModel });
        using var layout = new SequenceLayout([4]);
        using var hidden = randn(4, 16);
        using var expected = plain.Logits(hidden, layout);
        using var actual = adapted.Logits(hidden, layout);

        Comparison.AssertSameBits(expected, actual);
        foreach (var parameter in adapted.Parameters)
        {
            var largest = parameter.Value.abs().max().item<float>();
            var bound = 1 / Math.Sqrt(parameter.Value.shape[1]);
            Assert.InRange(largest, parameter.Name.Contains("lora_B", StringComparison.Ordinal) ? 0 : 0.8 * bound, parameter.Name.Contains("lora_B", StringComparison.Ordinal) ? 0 : bound);
        }
    }

    [Fact]
    public void Parameters_OfTwoBlocks_HaveTheirPathsAndStayViewsOfOneBuffer()
    {
        using var model = SmallModel.Make(ModelFamily.Llama);
        using var upper = UpperModel.Open(model.Folder, new UpperModelOptions
        {
            LowestCut = 1, Boundary = 1, Head = HeadKind.Classification, Classes = 2, Lora = new LoraConfig(2, 4, 0, ["q_proj", "mlp.down_proj"], false),
        });

        Assert.Equal(
            [
                "layers.1.self_attn.q_proj.lora_A.weight", "layers.1.self_attn.q_proj.lora_B.weight",
                "layers.1.mlp.down_proj.lora_A.weight", "layers.1.mlp.down_proj.lora_B.weight",
                "layers.2.self_attn.q_proj.lora_A.weight", "layers.2.self_attn.q_proj.lora_B.weight",
                "layers.2.mlp.down_proj.lora_A.weight", "layers.2.mlp.down_proj.lora_B.weight", "score.weight",
            ],
            upper.Parameters.Select(parameter => parameter.Name));
        _ = upper.FlatValues.fill_(2);
        Assert.All(upper.Parameters, parameter => Assert.Equal(2f, parameter.Value.min().item<float>()));
    }

    [Fact]
    public void Boundary_AtTheTop_TrainsTheHeadAlone()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var upper = UpperModel.Open(model.Folder, new UpperModelOptions { LowestCut = 0, Boundary = 3, Head = HeadKind.Classification, Classes = 2 });
        using var encoder = FrozenEncoder.Open(model.Folder, 3);
        using var layout = new SequenceLayout([3, 5]);

        Step(encoder, upper, layout);

        Assert.Equal(["score.weight"], upper.Parameters.Select(parameter => parameter.Name));
        Assert.True(upper.Parameters[0].Gradient!.norm().item<float>() > 0);
    }

    [Fact]
    public void Gradients_OfTwoPasses_AddUp()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var upper = Open(model, HeadKind.Classification, dropout: 0, ScalarType.Float64);
        using var encoder = FrozenEncoder.Open(model.Folder, 1, ScalarType.Float64);
        using var layout = new SequenceLayout([3, 5]);
        Step(encoder, upper, layout);
        using var once = upper.Parameters[^1].Gradient!.clone();

        Step(encoder, upper, layout);
        Comparison.AssertClose(once * 2, upper.Parameters[^1].Gradient!, 1e-12, "sum");
        upper.Parameters[^1].ClearGradient();
        Assert.Null(upper.Parameters[^1].Gradient);
        Step(encoder, upper, layout);
        Comparison.AssertClose(once, upper.Parameters[^1].Gradient!, 1e-12, "fresh sum");
    }

    [Fact]
    public void Pass_WithoutCountedLabels_HasNoLossAndNoGradient()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var upper = Open(model, HeadKind.LanguageModel, dropout: 0, ScalarType.Float32);
        using var layout = new SequenceLayout([3]);
        using var hidden = randn(3, 16);
        using var deferred = new WeightGradients();
        using var pass = upper.Forward(hidden, layout, [-100, -100, -100], 1, training: true);

        pass.BackwardInput(1, deferred);
        deferred.Run();

        Assert.Equal(0, pass.Loss);
        Assert.Equal(0, pass.CountedLabels);
        Assert.All(upper.Parameters, parameter => Assert.Null(parameter.Gradient));
        Assert.Throws<InvalidOperationException>(() => pass.BackwardInput(1, deferred));
    }

    [Theory]
    [InlineData(4, "Boundary")]
    [InlineData(-1, "LowestCut")]
    public void Open_ImpossibleBoundary_NamesTheOption(int boundary, string option)
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        var options = new UpperModelOptions { LowestCut = Math.Min(boundary, 0), Boundary = boundary, Head = HeadKind.LanguageModel };

        Assert.Equal(option, Assert.Throws<ArgumentException>(() => UpperModel.Open(model.Folder, options)).ParamName);
    }

    [Fact]
    public void Open_UnknownTarget_ListsTheLayers()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        var options = new UpperModelOptions
        {
            LowestCut = 0, Boundary = 1, Head = HeadKind.LanguageModel, Lora = new LoraConfig(2, 4, 0, ["q_proj"], false),
        };

        var message = Assert.Throws<ArgumentException>(() => UpperModel.Open(model.Folder, options)).Message;

        Assert.Contains("\"q_proj\"", message, StringComparison.Ordinal);
        Assert.Contains("attn.c_attn", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Forward_LabelOutOfRange_NamesIt()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var upper = Open(model, HeadKind.Classification, dropout: 0, ScalarType.Float32);
        using var layout = new SequenceLayout([2, 2]);
        using var hidden = randn(4, 16);

        Assert.Contains("Label 3 of sequence 1", Assert.Throws<ArgumentException>(() => upper.Forward(hidden, layout, [0, 3], 1, true)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => upper.Forward(hidden, layout, [0], 1, true));
    }

    /// <summary>Copies one of two sets of adapters, of rank 2 each, out of stacked ones.</summary>
    private static void TakeSet(UpperModel stacked, UpperModel single, int set)
    {
        foreach (var (from, to) in stacked.Parameters.Zip(single.Parameters).Where(pair => pair.First.Name.Contains("lora", StringComparison.Ordinal)))
        {
            _ = to.Value.copy_(from.Value.narrow(from.Name.EndsWith("lora_A.weight", StringComparison.Ordinal) ? 0 : 1, 2 * set, 2));
        }
    }

    private static UpperModel Open(SmallModel model, HeadKind head, double dropout, ScalarType type) => UpperModel.Open(
        model.Folder, new UpperModelOptions
        {
            LowestCut = 0, Boundary = 1, Head = head, Classes = 3, Seed = 2, Compute = type,
            Lora = new LoraConfig(2, 4, dropout, model.Folder.Config.Family == ModelFamily.Gpt2 ? ["c_attn", "c_proj"] : ["q_proj", "down_proj"], false),
        });

    private static double Loss(UpperModel upper, ulong seed, bool training)
    {
        using var layout = new SequenceLayout([3, 5]);
        using var hidden = linspace(-1, 1, 8 * 16).reshape(8, 16);
        using var pass = upper.Forward(hidden, layout, [0, 2], seed, training);
        return pass.Loss;
    }

    private static void Step(FrozenEncoder encoder, UpperModel upper, SequenceLayout layout)
    {
        using var deferred = new WeightGradients();
        using var hidden = encoder.Encode([1, 2, 3, 4, 5, 6, 7, 8], layout);
        using var caughtUp = upper.CatchUp(hidden, layout, encoder.Cut);
        using var pass = upper.Forward(caughtUp, layout, [0, 1], 1, training: true);
        pass.BackwardInput(1, deferred);
        deferred.Run();
    }
}
