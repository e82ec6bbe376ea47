using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class LowerModelTests
{
    private static readonly int[] _lengths = [4, 2, 7];
    private static readonly int[] _classes = [0, 2, 1];

    public LowerModelTests() => LibtorchLoader.Load();

    public static TheoryData<ModelFamily, HeadKind, int> Splits => new(
        from family in Enum.GetValues<ModelFamily>()
        from head in Enum.GetValues<HeadKind>()
        from cut in Enumerable.Range(1, 3)
        select (family, head, cut));

    [Theory]
    [MemberData(nameof(Splits))]
    public void SplitGradients_AtEveryCut_EqualTheJointOnes(ModelFamily family, HeadKind head, int cut)
    {
        using var model = SmallModel.Make(family);
        using var joint = Upper(model, head, boundary: 0);
        using var lower = LowerModel.Open(model.Folder, cut, Lora(family), seed: 5, ScalarType.Float64);
        using var upper = Upper(model, head, cut);
        Perturb(joint.Parameters);
        Perturb([.. lower.Parameters, .. upper.Parameters]);
        using var layout = new SequenceLayout(_lengths);

        var loss = JointStep(model, joint, layout, Labels(head));
        var splitLoss = SplitStep(lower, upper, layout, Labels(head));

        Assert.Equal(loss, splitLoss, 1e-12);
        Parameter[] split = [.. lower.Parameters, .. upper.Parameters];
        Assert.Equal(joint.Parameters.Select(parameter => parameter.Name), split.Select(parameter => parameter.Name));
        Assert.All(joint.Parameters.Zip(split), pair => Comparison.AssertClose(pair.First.Gradient!, pair.Second.Gradient!, 1e-12, pair.First.Name));
    }

    [Fact]
    public void Adapters_SameSeed_StartAsInTheJointModel()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var joint = Upper(model, HeadKind.Classification, boundary: 0);
        using var lower = LowerModel.Open(model.Folder, 2, Lora(ModelFamily.Gpt2), seed: 5, ScalarType.Float64);

        Assert.All(lower.Parameters.Zip(joint.Parameters), pair => Comparison.AssertSameBits(pair.Second.Value.to(ScalarType.Float32), pair.First.Value.to(ScalarType.Float32)));
    }

    [Fact]
    public void Step_WhenOver_LeavesNoTensorBehind()
    {
        using var model = SmallModel.Make(ModelFamily.Llama);
        using var lower = LowerModel.Open(model.Folder, 2, Lora(ModelFamily.Llama) with { Dropout = 0.2 }, seed: 5, ScalarType.Float64);
        using var upper = Upper(model, HeadKind.Classification, 2);
        using var layout = new SequenceLayout(_lengths);
        _ = SplitStep(lower, upper, layout, _classes);
        var before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;

        _ = SplitStep(lower, upper, layout, _classes);

        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Backward_TwiceOrWithoutTrainingOrOfAnotherShape_IsRefused()
    {
        using var model = SmallModel.Make(ModelFamily.Gpt2);
        using var lower = LowerModel.Open(model.Folder, 1, Lora(ModelFamily.Gpt2), seed: 5);
        using var layout = new SequenceLayout([3]);
        using var deferred = new WeightGradients();
        using var gradient = ones(3, 16);
        using var trained = lower.Forward([1, 2, 3], layout, dropoutSeed: 0, training: true);
        using var evaluated = lower.Forward([1, 2, 3], layout, dropoutSeed: 0, training: false);

        using var narrow = ones(2, 16);
        Assert.Contains("[2, 16]", Assert.Throws<ArgumentException>(() => trained.Backward(narrow, deferred)).Message, StringComparison.Ordinal);
        trained.Backward(gradient, deferred);
        Assert.Throws<InvalidOperationException>(() => trained.Backward(gradient, deferred));
        Assert.Throws<InvalidOperationException>(() => evaluated.Backward(gradient, deferred));
    }

    private static double JointStep(SmallModel model, UpperModel joint, SequenceLayout layout, int[] labels)
    {
        using var encoder = FrozenEncoder.Open(model.Folder, 0, ScalarType.Float64);
        using var embedded = encoder.Encode(Tokens(), layout);
        using var deferred = new WeightGradients();
        using var pass = joint.Forward(embedded, layout, labels, dropoutSeed: 0, training: true);
        pass.BackwardInput(0.7, deferred);
        deferred.Run();
        return pass.Loss;
    }

    private static double SplitStep(LowerModel lower, UpperModel upper, SequenceLayout layout, int[] labels)
    {
        using var deferred = new WeightGradients();
        using var below = lower.Forward(Tokens(), layout, dropoutSeed: 0, training: true);
        using var pass = upper.Forward(below.Hidden, layout, labels, dropoutSeed: 0, training: true);
        Assert.Null(pass.HiddenGradient);
        pass.BackwardInput(0.7, deferred);
        below.Backward(pass.HiddenGradient!, deferred);
        deferred.Run();
        return pass.Loss;
    }

    private static UpperModel Upper(SmallModel model, HeadKind head, int boundary) => UpperModel.Open(model.Folder, new UpperModelOptions
    {
        LowestCut = boundary,
        Boundary = boundary,
        Head = head,
        Classes = head == HeadKind.Classification ? 3 : 0,
        Lora = Lora(model.Folder.Config.Family),
        Seed = 5,
        GradientAtBoundary = boundary > 0,
        Compute = ScalarType.Float64,
    });

    private static LoraConfig Lora(ModelFamily family) => new(
        2, 6, 0, family == ModelFamily.Gpt2 ? ["c_attn", "mlp.c_proj"] : ["q_proj", "v_proj", "down_proj"], RankStabilized: false);

    private static int[] Tokens() => [.. Enumerable.Range(0, _lengths.Sum()).Select(t => (t * 11) % 29)];

    private static int[] Labels(HeadKind head) => head == HeadKind.Classification ? _classes : [.. Tokens().Select((token, t) => t % 3 == 0 ? -100 : token)];

    private static void Perturb(IEnumerable<Parameter> parameters)
    {
        using var noGradient = no_grad();
        foreach (var parameter in parameters)
        {
            var random = SeededRandom.ForStream(3, parameter.Name);
            using var noise = tensor(Enumerable.Range(0, (int)parameter.Value.NumberOfElements).Select(_ => 0.2 * random.NextGaussian()).ToArray(), parameter.Value.shape);
            _ = parameter.Value.copy_(noise);
        }
    }
}
