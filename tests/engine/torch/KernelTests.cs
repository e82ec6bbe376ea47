using SplitFrozen.Torch;
using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Torch;

/// <summary>The fused f32 kernels against torch's own operations and autograd in float64, on widths with and without a tail.</summary>
public sealed class KernelTests
{
    private const double Tolerance = 2e-6;

    public KernelTests()
    {
        LibtorchLoader.Load();
        _ = manual_seed(3);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 21)]
    [InlineData(300, 1024)]
    public void Gelu_ForwardAndBackward_EqualTorch(int rows, int width)
    {
        using var scope = NewDisposeScope();
        var x = randn(rows, width) * 4;
        var dy = randn(rows, width);
        var exact = x.to(float64).requires_grad_();
        var expected = exact.gelu(TorchSharp.Modules.GELU.Approximate.tanh);
        var gradient = autograd.grad([expected], [exact], [dy.to(float64)])[0];

        var y = ActivationKernels.Gelu(x);
        ActivationKernels.GeluBackward(x, dy);

        AssertClose(expected, y);
        AssertClose(gradient, dy);
    }

    [Fact]
    public void Gelu_OfExtremes_IsFiniteAndExact()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { -1e4f, -50f, -10f, 0f, 10f, 50f, 1e4f });
        var dy = ones(7);

        var y = ActivationKernels.Gelu(x);
        ActivationKernels.GeluBackward(x, dy);

        Assert.Equal([0f, 0f, 0f, 0f, 10f, 50f, 1e4f], y.data<float>().ToArray().Select(value => MathF.Abs(value) < 1e-20f ? 0f : value));
        Assert.Equal([0f, 0f, 0f, 0.5f, 1f, 1f, 1f], dy.data<float>().ToArray().Select(value => MathF.Abs(value) < 1e-20f ? 0f : value));
    }

    [Theory]
    [InlineData(3, 21)]
    [InlineData(300, 1024)]
    public void SwiGlu_ForwardAndBackward_EqualTorch(int rows, int width)
    {
        using var scope = NewDisposeScope();
        var (gate, up, dy) = (randn(rows, width) * 4, randn(rows, width), randn(rows, width));
        var (exactGate, exactUp) = (gate.to(float64).requires_grad_(), up.to(float64).requires_grad_());
        var expected = nn.functional.silu(exactGate) * exactUp;
        var gradients = autograd.grad([expected], [exactGate, exactUp], [dy.to(float64)]);

        var y = ActivationKernels.SwiGlu(gate, up);
        var (dGate, dUp) = ActivationKernels.SwiGluBackward(gate, up, dy);

        AssertClose(expected, y);
        AssertClose(gradients[0], dGate);
        AssertClose(gradients[1], dUp);
    }

    [Theory]
    [InlineData(3, 21, true)]
    [InlineData(400, 768, true)]
    [InlineData(3, 21, false)]
    [InlineData(400, 768, false)]
    public void Norm_ForwardAndBackward_EqualTorch(int rows, int width, bool centred)
    {
        using var scope = NewDisposeScope();
        var (x, weight, bias, dy) = ((randn(rows, width) * 3) + 2, randn(width), randn(width), randn(rows, width));
        var (exact, exactWeight, exactBias) = (x.to(float64).requires_grad_(), weight.to(float64).requires_grad_(), bias.to(float64).requires_grad_());
        var expected = centred
            ? nn.functional.layer_norm(exact, [width], exactWeight, exactBias, 1e-5)
            : exact * (exact.square().mean([-1], keepdim: true) + 1e-5).rsqrt() * exactWeight;
        Tensor[] inputs = centred ? [exact, exactWeight, exactBias] : [exact, exactWeight];
        var gradients = autograd.grad([expected], inputs, [dy.to(float64)]);

        var y = NormKernels.Forward(x, weight, centred ? bias : null, 1e-5);
        var dx = NormKernels.Backward(x, weight, dy, 1e-5, centred);
        var (dWeight, dBias) = NormKernels.WeightBackward(x, dy, 1e-5, centred);

        AssertClose(expected, y);
        AssertClose(gradients[0], dx);
        AssertClose(gradients[1], dWeight);
        if (centred)
        {
            AssertClose(gradients[2], dBias);
        }
    }

    [Theory]
    [InlineData(5, 2)]
    [InlineData(7, 21)]
    [InlineData(200, 4096)]
    public void CrossEntropy_LossHitsAndGradient_EqualTorch(int rows, int classes)
    {
        using var scope = NewDisposeScope();
        var logits = randn(rows, classes) * 5;
        var targets = Enumerable.Range(0, rows).Select(row => (row * 7) % classes).ToArray();
        var index = tensor(targets.Select(target => (long)target).ToArray());
        var exact = logits.to(float64).requires_grad_();
        var expected = nn.functional.cross_entropy(exact, index, reduction: nn.Reduction.Sum);
        var gradient = autograd.grad([expected], [exact], [tensor(0.25, float64)])[0];
        var hits = exact.argmax(1).eq(index).data<bool>().ToArray();
        var (losses, correct) = (new double[rows], new bool[rows]);

        CrossEntropyKernel.Compute(logits, targets, losses, correct, 0.25);

        Assert.Equal(1, losses.Sum() / expected.item<double>(), 1e-6);
        Assert.Equal(hits, correct);
        AssertClose(gradient, logits);
    }

    [Fact]
    public void CrossEntropy_WithoutGradient_LeavesLogits()
    {
        using var scope = NewDisposeScope();
        var logits = randn(3, 21);
        var before = logits.clone();

        CrossEntropyKernel.Compute(logits, [0, 1, 2], new double[3], new bool[3], gradientScale: null);

        Assert.True(before.equal(logits).all().item<bool>());
    }

    [Fact]
    public void AddRows_RepeatedIndex_Accumulates()
    {
        using var scope = NewDisposeScope();
        var table = zeros(4, 21);
        var rows = randn(3, 21);

        RowKernels.AddRows(table, [2, 0, 2], rows);

        AssertClose(zeros(4, 21, float64).index_add_(0, tensor(new long[] { 2, 0, 2 }), rows.to(float64), 1), table);
        Assert.Throws<ArgumentOutOfRangeException>(() => RowKernels.AddRows(table, [4], rows));
    }

    [Fact]
    public void Kernel_OnStridedTensor_Refuses()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentException>(() => ActivationKernels.Gelu(randn(4, 6).t()));
    }

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        var error = ((actual.to(float64) - expected).norm() / expected.norm()).item<double>();
        Assert.True(error < Tolerance, $"relative error {error:E2}");
    }
}
