using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// The low-rank branch of one linear layer: <c>y += scale · (x Aᵀ) Bᵀ</c>, A <c>[r, in]</c>, B <c>[out, r]</c>; in training x is
/// dropped out first.
/// </summary>
internal sealed class Adapter(Parameter a, Parameter b, double scale, int ordinal)
{
    /// <summary>Adds the branch to y <c>[n, out]</c> in place; x is <c>[n, in]</c>.</summary>
    internal void Forward(Tensor x, Tensor y, Tape? tape, Dropout? dropout)
    {
        var mask = dropout?.Mask(x, ordinal);
        var input = mask is null ? x : x * mask;
        var low = input.mm(a.Value.t()).mul_(scale);
        _ = y.addmm_(low, b.Value.t(), beta: 1, alpha: 1);
        if (tape is not null)
        {
            tape.Push(input);
            tape.Push(low);
            tape.Push(mask);
        }
    }

    /// <summary>Adds the branch's part to dx <c>[n, in]</c> in place, if there is one, and puts dA and dB off.</summary>
    internal void Backward(Tensor dy, Tensor? dx, Tape tape, WeightGradients deferred)
    {
        var mask = tape.PopOptional();
        var low = tape.Pop();
        var input = tape.Pop();
        var dLow = dy.mm(b.Value).mul_(scale);
        if (dx is not null)
        {
            _ = mask is null ? dx.addmm_(dLow, a.Value, beta: 1, alpha: 1) : dx.add_(dLow.mm(a.Value).mul_(mask));
        }

        // low carries the scale already, so dB = dyᵀ low.
        deferred.Defer(
            held =>
            {
                a.AccumulateProduct(held[0].t(), held[1]);
                b.AccumulateProduct(held[2].t(), held[3]);
            },
            dLow, input, dy, low);
    }
}
