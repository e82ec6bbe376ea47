using SplitFrozen.Torch;
using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Torch;

/// <summary>The attention kernel against attention written out in float64 with an explicit mask, and autograd through it.</summary>
public sealed class AttentionKernelTests
{
    private const double Tolerance = 3e-6;

    public AttentionKernelTests()
    {
        LibtorchLoader.Load();
        _ = manual_seed(5);
    }

    public static TheoryData<int[], int, int, int> Shapes => new()
    {
        { [1], 1, 1, 16 },
        { [16], 2, 2, 32 },
        { [17, 3, 40], 4, 2, 16 },
        { [128, 5], 3, 3, 64 },
        { [33, 1, 70], 6, 2, 48 },
        { [200], 2, 1, 128 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Attention_ForwardAndBackward_EqualItsDefinition(int[] lengths, int heads, int keyValueHeads, int headWidth)
    {
        using var scope = NewDisposeScope();
        var shape = new AttentionShape(lengths, heads, keyValueHeads, headWidth);
        var (queryWidth, keyWidth) = (heads * headWidth, keyValueHeads * headWidth);
        var qkv = randn(lengths.Sum(), queryWidth + (2 * keyWidth)) * 2;
        var gradient = randn(lengths.Sum(), queryWidth);
        var exact = qkv.to(float64).requires_grad_();
        var expected = Define(exact, shape);
        var expectedGradient = autograd.grad([expected], [exact], [gradient.to(float64)])[0];
        Tensor[] Parts(Tensor all) => [all.narrow(1, 0, queryWidth), all.narrow(1, queryWidth, keyWidth), all.narrow(1, queryWidth + keyWidth, keyWidth)];
        var inputs = Parts(qkv);

        var (output, logSums) = AttentionKernel.Forward(inputs[0], inputs[1], inputs[2], shape);
        var gradients = full_like(qkv, float.NaN);
        var targets = Parts(gradients);
        AttentionKernel.Backward((inputs[0], inputs[1], inputs[2]), (output, logSums), gradient, shape, targets[0], targets[1], targets[2]);

        AssertClose(expected, output);
        AssertClose(expectedGradient, gradients);
    }

    [Fact]
    public void Attention_OfHugeScores_StaysFinite()
    {
        using var scope = NewDisposeScope();
        var rows = randn(20, 16) * 1000;
        var shape = new AttentionShape([20], 1, 1, 16);

        var (output, logSums) = AttentionKernel.Forward(rows, rows, rows, shape);
        var gradients = zeros(20, 48);
        AttentionKernel.Backward(
            (rows, rows, rows), (output, logSums), rows, shape, gradients.narrow(1, 0, 16), gradients.narrow(1, 16, 16), gradients.narrow(1, 32, 16));

        Assert.True(output.isfinite().all().item<bool>());
        Assert.True(gradients.isfinite().all().item<bool>());
    }

    [Fact]
    public void Sequence_WhereverItStands_HasTheSameBits()
    {
        using var scope = NewDisposeScope();
        var rows = randn(90, 32);
        var (together, _) = AttentionKernel.Forward(rows, rows, rows, new AttentionShape([37, 53], 2, 2, 16));
        var alone = rows.narrow(0, 37, 53);

        var (single, _) = AttentionKernel.Forward(alone, alone, alone, new AttentionShape([53], 2, 2, 16));

        Assert.True(single.equal(together.narrow(0, 37, 53)).all().item<bool>());
    }

    private static Tensor Define(Tensor qkv, AttentionShape shape)
    {
        var outputs = new List<Tensor>();
        var start = 0;
        foreach (var length in shape.Lengths)
        {
            var heads = new List<Tensor>();
            var mask = ones(length, length, float64).triu(1) * -1e30;
            for (var head = 0; head < shape.Heads; head++)
            {
                var shared = head * shape.KeyValueHeads / shape.Heads;
                var rows = qkv.narrow(0, start, length);
                Tensor Part(int index) => rows.narrow(1, index * shape.HeadWidth, shape.HeadWidth);
                var scores = (Part(head).matmul(Part(shape.Heads + shared).t()) / Math.Sqrt(shape.HeadWidth)) + mask;
                heads.Add(scores.softmax(1).matmul(Part(shape.Heads + shape.KeyValueHeads + shared)));
            }

            outputs.Add(cat(heads, 1));
            start += length;
        }

        return cat(outputs, 0);
    }

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        var error = ((actual.to(float64) - expected).norm() / expected.norm()).item<double>();
        Assert.True(error < Tolerance, $"relative error {error:E2}");
    }
}
