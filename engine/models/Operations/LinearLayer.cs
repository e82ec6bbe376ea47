using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// A linear layer <c>y = x W + b</c> over packed rows, with W seen as <c>[in, out]</c> however the file keeps it, and an optional
/// adapter. W and b are frozen tensors or trainable parameters.
/// </summary>
internal sealed class LinearLayer(LayerWeight weight, LayerWeight? bias, bool storedInOut, Adapter? adapter) : IDisposable
{
    /// <summary>Whether W or an adapter gets a gradient.</summary>
    internal bool Trains => weight.Parameter is not null || adapter is not null;

    /// <summary>x is <c>[n, in]</c>, the result <c>[n, out]</c>.</summary>
    internal Tensor Forward(Tensor x, Tape? tape, Dropout? dropout)
    {
        var matrix = storedInOut ? weight.Value : weight.Value.t();
        var y = bias is null ? x.mm(matrix) : bias.Value.addmm(x, matrix);
        adapter?.Forward(x, y, tape, dropout);
        if (weight.Parameter is not null)
        {
            tape?.Push(x);
        }

        return y;
    }

    /// <summary>The gradient of x <c>[n, in]</c>, or null where it is not needed; gradients of weights are put off.</summary>
    internal Tensor? Backward(Tensor dy, Tape tape, WeightGradients deferred, bool needInput)
    {
        var x = weight.Parameter is null ? null : tape.Pop();
        var dx = needInput ? dy.mm(storedInOut ? weight.Value.t() : weight.Value) : null;
        adapter?.Backward(dy, dx, tape, deferred);
        if (weight.Parameter is { } trained)
        {
            deferred.Defer(
                held =>
                {
                    var (rows, gradient) = (held[0], held[1]);
                    trained.AccumulateProduct(storedInOut ? rows.t() : gradient.t(), storedInOut ? gradient : rows);
                    bias?.Parameter?.Accumulate(gradient.sum([0L]));
                },
                x!, dy);
        }

        return dx;
    }

    public void Dispose()
    {
        weight.Dispose();
        bias?.Dispose();
    }
}
