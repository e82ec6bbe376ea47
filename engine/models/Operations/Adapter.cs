using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// The low-rank branch of one linear layer: <c>y += scale · (x Aᵀ) Bᵀ</c>, A <c>[r, in]</c>, B <c>[out, r]</c>; in training x is
/// dropped out first.
/// </summary>
internal sealed class Adapter(Parameter a, Parameter b, double scale)
{
    /// <summary>Adds the branch to y <c>[n, out]</c> in place; x is <c>[n, in]</c>.</summary>
    internal void Forward(Tensor x, Tensor y, Tape? tape, Dropout? dropout)
    {
        using var phase = PhaseTimes.In("adapters, forward");
        var mask = dropout?.Mask(x, a.Name);
        var input = mask is null ? x : x * mask;
        var low = input.mm(a.Value.t()).MultiplyInPlace(scale);
        _ = y.addmm_(low, b.Value.t(), beta: 1, alpha: 1);
        if (tape is not null)
        {
            tape.Push(input);
            tape.Push(low);
            tape.Push(mask);
        }
    }

    /// <summary>The initial A <c>[rank, in]</c> of a name and seed: uniform in ±1 / √in. B starts at zero.</summary>
    internal static Tensor InitialA(ulong seed, string name, long rank, long inWidth, ScalarType type)
    {
        // Kaiming-uniform with a = √5 over inWidth inputs has the bound 1 / √inWidth (He et al., 2015; PEFT's default).
        var random = SeededRandom.ForStream(seed, name);
        var bound = 1 / Math.Sqrt(inWidth);
        var values = new double[rank * inWidth];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = ((2 * random.NextDouble()) - 1) * bound;
        }

        return tensor(values, [rank, inWidth], type);
    }

    /// <summary>Adds <c>share · scale · B A</c> to a weight W in place, <c>[in, out]</c> or <c>[out, in]</c>.</summary>
    internal void MergeInto(Tensor weight, bool storedInOut, double share)
    {
        using var scope = NewDisposeScope();
        var scaled = b.Value.Times(share * scale);
        _ = storedInOut ? weight.addmm_(a.Value.t(), scaled.t(), beta: 1, alpha: 1) : weight.addmm_(scaled, a.Value, beta: 1, alpha: 1);
    }

    /// <summary>Draws A anew and sets B to zero, so that the branch is zero again.</summary>
    internal void Restart(ulong seed)
    {
        using var initial = InitialA(seed, a.Name, a.Value.shape[0], a.Value.shape[1], a.Value.dtype);
        _ = a.Value.copy_(initial);
        _ = b.Value.zero_();
    }

    /// <summary>Adds the branch's part to dx <c>[n, in]</c> in place, if there is one, and puts dA and dB off.</summary>
    internal void Backward(Tensor dy, Tensor? dx, Tape tape, WeightGradients deferred)
    {
        using var phase = PhaseTimes.In("adapters, backward");
        var mask = tape.PopOptional();
        var low = tape.Pop();
        var input = tape.Pop();

        // With r columns only, the kernels for matrices are several times slower on B as it lies than on a copy with rows of the outer width.
        var dLow = dy.mm(b.Value.t().contiguous().t()).MultiplyInPlace(scale);
        if (dx is not null)
        {
            _ = mask is null ? dx.addmm_(dLow, a.Value, beta: 1, alpha: 1) : dx.AddInPlace(dLow.mm(a.Value).mul_(mask));
        }

        // low carries the scale already, so dBᵀ = lowᵀ dy.
        deferred.Defer(
            held =>
            {
                a.AccumulateProduct(held[0].t(), held[1]);
                b.Accumulate(held[3].t().mm(held[2]).t());
            },
            dLow, input, dy, low);
    }
}
