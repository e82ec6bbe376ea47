using SplitFrozen.Torch.Kernels;
using SplitFrozen.Torch;
using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>Cross-entropy over rows of logits, computed together with its gradient.</summary>
internal static class CrossEntropy
{
    /// <summary>Sum of the losses of some rows, and how often the target had the largest logit.</summary>
    internal readonly record struct Sums(double Loss, int Correct);

    /// <summary>
    /// The losses of logits <c>[n, C]</c> for targets <c>[n]</c>. With <paramref name="gradientScale"/> the logits are replaced by
    /// the gradient of <c>gradientScale · Σ loss</c>.
    /// </summary>
    internal static Sums Compute(Tensor logits, ReadOnlySpan<int> targets, double? gradientScale)
    {
        if (logits.dtype == ScalarType.Float32)
        {
            return ComputeFused(logits, targets.ToArray(), gradientScale);
        }

        using var scope = NewDisposeScope();
        var index = tensor(Array.ConvertAll(targets.ToArray(), target => (long)target));
        var logarithms = logits.log_softmax(1);
        var loss = -logarithms.gather(1, index.unsqueeze(1)).to(ScalarType.Float64).sum().item<double>();
        var correct = logits.argmax(1).eq(index).sum().item<long>();
        if (gradientScale is { } scale)
        {
            var ones = torch.ones([targets.Length, 1], logits.dtype);
            _ = logits.copy_(logarithms.exp_()).scatter_add_(1, index.unsqueeze(1), ones.neg()).MultiplyInPlace(scale);
        }

        return new Sums(loss, (int)correct);
    }

    private static Sums ComputeFused(Tensor logits, int[] targets, double? gradientScale)
    {
        var losses = new double[targets.Length];
        var correct = new bool[targets.Length];
        CrossEntropyKernel.Compute(logits, targets, losses, correct, gradientScale);
        return new Sums(losses.Sum(), correct.Count(hit => hit));
    }
}
