using SplitFrozen.Training.Optimization;
using Parameter = TorchSharp.Modules.Parameter;
using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.Optimization;

public sealed class AdamWTests
{
    [Fact]
    public void Step_TwoStepsOnAScalar_EqualsHandComputation()
    {
        using var scope = NewDisposeScope();
        var flat = new FlatTensors(("p", tensor(new[] { 1.0 }, ScalarType.Float64)));
        var value = flat.Parameters[0].Value;
        using var optimizer = flat.Optimizer(new AdamWOptions { WeightDecay = 0.1 });

        value.grad!.fill_(0.5);
        optimizer.Step(0.01);
        // First step: both corrected moments are g and g², so the update is the learning rate times g / (|g| + eps).
        var expected = (1.0 * (1 - (0.01 * 0.1))) - (0.01 * 0.5 / (0.5 + 1e-8));
        Assert.Equal(expected, value.item<double>(), 1e-15);

        value.grad!.fill_(-0.25);
        optimizer.Step(0.02);
        var m = ((0.9 * 0.1 * 0.5) + (0.1 * -0.25)) / (1 - (0.9 * 0.9));
        var v = ((0.999 * 0.001 * 0.25) + (0.001 * 0.0625)) / (1 - (0.999 * 0.999));
        expected = (expected * (1 - (0.02 * 0.1))) - (0.02 * m / (Math.Sqrt(v) + 1e-8));
        Assert.Equal(expected, value.item<double>(), 1e-14);
    }

    [Fact]
    public void Step_TenStepsOnSeveralShapes_EqualsTorchSharpAdamW()
    {
        using var scope = NewDisposeScope();
        var (ours, theirs) = TwinParameters();
        using var optimizer = ours.Optimizer(new AdamWOptions { WeightDecay = 0.05, Beta1 = 0.8, Beta2 = 0.95 });
        using var peer = optim.AdamW([.. theirs.Select(value => new Parameter(value))], lr: 0.01, beta1: 0.8, beta2: 0.95, weight_decay: 0.05);
        var peerParameters = peer.parameters().ToArray();

        for (var step = 0; step < 10; step++)
        {
            Backpropagate([.. ours.Parameters.Select(parameter => parameter.Value)], step);
            Backpropagate(peerParameters, step);
            optimizer.Step(0.01);
            peer.step();
            peer.zero_grad();
        }

        for (var i = 0; i < ours.Parameters.Count; i++)
        {
            Assert.True(ours.Parameters[i].Value.allclose(peerParameters[i], rtol: 1e-12, atol: 1e-14));
        }
    }

    [Fact]
    public void Step_MoreElementsThanOneChunk_TreatsAllAlike()
    {
        using var scope = NewDisposeScope();
        var flat = new FlatTensors(("p", ones(200_003)));
        using var optimizer = flat.Optimizer(new AdamWOptions { WeightDecay = 0 });
        for (var step = 0; step < 3; step++)
        {
            flat.Gradients.fill_(0.5f - step);
            optimizer.Step(0.01);
        }

        Assert.Equal(flat.Values.min().item<float>(), flat.Values.max().item<float>());
        Assert.NotEqual(1.0f, flat.Values[200_002].item<float>());
    }

    [Fact]
    public void Step_Repeated_LeavesNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var flat = new FlatTensors(("bias", ones(100_000)), ("matrix", ones(new long[] { 20, 30 })));
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (var optimizer = flat.Optimizer(new AdamWOptions { DecayMatricesOnly = true }))
        {
            var alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            flat.Gradients.fill_(1);
            _ = optimizer.ClipGradients(1);
            optimizer.Step(0.01);
            Assert.Equal(alive, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        }

        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Step_DecayOfMatricesOnly_LeavesBiasesWithoutGradientUnchanged()
    {
        using var scope = NewDisposeScope();
        var flat = new FlatTensors(("bias", ones(3, ScalarType.Float64)), ("matrix", ones(new long[] { 2, 3 }, ScalarType.Float64)));
        var (bias, matrix) = (flat.Parameters[0].Value, flat.Parameters[1].Value);
        using var optimizer = flat.Optimizer(new AdamWOptions { WeightDecay = 0.1, DecayMatricesOnly = true });
        optimizer.Step(0.5);
        Assert.Equal(1.0, bias[0].item<double>());
        Assert.Equal(0.95, matrix[1, 2].item<double>(), 1e-15);
    }

    [Fact]
    public void Step_Afterwards_GradientsAreZeroAndStillAccumulateInPlace()
    {
        using var scope = NewDisposeScope();
        var flat = new FlatTensors(("p", ones(3, ScalarType.Float64)));
        var value = flat.Parameters[0].Value;
        using var optimizer = flat.Optimizer(new AdamWOptions());
        value.sum().backward();
        value.sum().backward();
        Assert.Equal(2.0 * Math.Sqrt(3.0), optimizer.ClipGradients(0), 1e-12);
        optimizer.Step(0.1);
        Assert.Equal(0.0, optimizer.ClipGradients(0));
    }

    [Fact]
    public void State_OfAParameter_HasItsNameShapeAndMoments()
    {
        using var scope = NewDisposeScope();
        var flat = new FlatTensors(("h.0.bias", ones(5, ScalarType.Float64)), ("h.0.weight", ones(new long[] { 2, 3 }, ScalarType.Float64)));
        var value = flat.Parameters[1].Value;
        using var optimizer = flat.Optimizer(new AdamWOptions());
        value.sum().backward();
        optimizer.Step(0.1);
        var state = optimizer.State().Parameters[^1];
        Assert.Equal("h.0.weight", state.Name);
        Assert.Equal([2L, 3L], state.FirstMoment.shape);
        Assert.Equal(0.1, state.FirstMoment[1, 2].item<double>(), 1e-15);
        Assert.Equal(0.001, state.SecondMoment[1, 2].item<double>(), 1e-15);
        using var frozen = no_grad();
        state.Value.fill_(7.0);
        Assert.Equal(7.0, value[0, 0].item<double>());
    }

    [Fact]
    public void Clip_NormAboveTheMaximum_ScalesByTorchsFormula()
    {
        using var scope = NewDisposeScope();
        var flat = TwoParameters();
        using var optimizer = flat.Optimizer(new AdamWOptions());
        _ = flat.Gradients.copy_(tensor(new[] { 3.0, 4.0 }, ScalarType.Float64));
        Assert.Equal(5.0, optimizer.ClipGradients(1.0), 1e-15);
        Assert.Equal(3.0 / (5.0 + 1e-6), flat.Gradients[0].item<double>(), 1e-15);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(6.0)]
    public void Clip_OffOrBelowTheMaximum_ChangesNothing(double maximum)
    {
        using var scope = NewDisposeScope();
        var flat = TwoParameters();
        using var optimizer = flat.Optimizer(new AdamWOptions());
        _ = flat.Gradients.copy_(tensor(new[] { 3.0, 4.0 }, ScalarType.Float64));
        Assert.Equal(5.0, optimizer.ClipGradients(maximum), 1e-15);
        Assert.Equal(4.0, flat.Gradients[1].item<double>());
    }

    [Fact]
    public void Squares_OfFloats_AreThoseOfTheirDoublesToTheLastBits()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var values = randn(1003);
        Assert.Equal(values.to(ScalarType.Float64).square().sum().item<double>(), GradientClipping.Squares(values), 1e-9);
    }

    private static FlatTensors TwoParameters() => new(("p", ones(1, ScalarType.Float64)), ("q", ones(1, ScalarType.Float64)));

    private static (FlatTensors Ours, Tensor[] Theirs) TwinParameters()
    {
        manual_seed(5);
        long[][] shapes = [[4, 3], [3], [2, 5]];
        var initial = shapes.Select(shape => randn(shape, ScalarType.Float64)).ToArray();
        return (new FlatTensors([.. initial.Select((value, i) => ($"p{i}", value))]), initial);
    }

    private static void Backpropagate(IReadOnlyList<Tensor> values, int step)
    {
        using var scope = NewDisposeScope();
        var loss = values.Select((value, i) => (value * value * (i + 1)).sum() + (value.sin() * step).sum()).Aggregate((a, b) => a + b);
        loss.backward();
    }
}
