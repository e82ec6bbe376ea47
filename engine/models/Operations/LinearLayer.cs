using SplitFrozen.Torch;
using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// A linear layer <c>y = x W + b</c> over packed rows, with W seen as <c>[in, out]</c> however the file keeps it, and an optional
/// adapter. W and b are frozen tensors or trainable parameters; a frozen W may be int8, and then has neither adapter nor backward pass.
/// </summary>
internal sealed class LinearLayer(LayerWeight weight, LayerWeight? bias, bool storedInOut, Adapter? adapter) : IDisposable
{
    /// <summary>
    /// Rows of a tile. A matrix kernel rounds by the shape of its operands, but within one shape every row alike, wherever it
    /// stands (measured for all layer shapes of the models here; a test holds it). 64 costs some 20 % over one large product.
    /// </summary>
    private const int TileRows = 64;

    /// <summary>Whether W or an adapter gets a gradient.</summary>
    internal bool Trains => weight.Parameter is not null || adapter is not null;

    /// <summary>x is <c>[n, in]</c>, the result <c>[n, out]</c>.</summary>
    /// <param name="x">The rows.</param>
    /// <param name="tape">Keeps what the backward pass needs; null keeps nothing.</param>
    /// <param name="dropout">Masks for the adapter, or null.</param>
    /// <param name="inTiles">Multiply in tiles of one shape, so that a row's bits do not depend on the rows beside it.</param>
    internal Tensor Forward(Tensor x, Tape? tape, Dropout? dropout, bool inTiles)
    {
        using var phase = PhaseTimes.In("frozen products, forward");
        if (weight.Int8 is { } int8)
        {
            return Int8Rows.Multiply(x, int8.Values, int8.Scales, bias?.Value);
        }

        var matrix = storedInOut ? weight.Value : weight.Value.t();
        var y = inTiles ? MultiplyTiles(x, matrix) : bias is null ? x.mm(matrix) : bias.Value.addmm(x, matrix);
        adapter?.Forward(x, y, tape, dropout);
        if (weight.Parameter is not null)
        {
            tape?.Push(x);
        }

        return y;
    }

    /// <summary>Adds a share of the adapter's product to W in place; the adapter stays as it is.</summary>
    internal void MergeAdapter(double share) => adapter?.MergeInto(weight.Value, storedInOut, share);

    /// <summary>Makes the adapter a new one that adds nothing yet.</summary>
    internal void RestartAdapter(ulong seed) => adapter?.Restart(seed);

    /// <summary>The gradient of x <c>[n, in]</c>, or null where it is not needed; gradients of weights are put off.</summary>
    internal Tensor? Backward(Tensor dy, Tape tape, WeightGradients deferred, bool needInput)
    {
        using var phase = PhaseTimes.In("frozen products, backward");
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

    private Tensor MultiplyTiles(Tensor x, Tensor matrix)
    {
        var (rows, full) = (x.shape[0], x.shape[0] / TileRows * TileRows);
        var y = empty([rows, matrix.shape[1]], x.dtype);
        for (var row = 0L; row < full; row += TileRows)
        {
            using var scope = NewDisposeScope();
            MultiplyInto(y.narrow(0, row, TileRows), x.narrow(0, row, TileRows), matrix);
        }

        if (full < rows)
        {
            using var scope = NewDisposeScope();
            var padded = zeros([TileRows, x.shape[1]], x.dtype);
            padded.narrow(0, 0, rows - full).copy_(x.narrow(0, full, rows - full));
            var product = empty([TileRows, matrix.shape[1]], x.dtype);
            MultiplyInto(product, padded, matrix);
            y.narrow(0, full, rows - full).copy_(product.narrow(0, 0, rows - full));
        }

        return y;
    }

    private void MultiplyInto(Tensor tile, Tensor x, Tensor matrix)
    {
        if (bias is not null)
        {
            tile.copy_(bias.Value.expand(tile.shape));
        }

        tile.addmm_(x, matrix, beta: bias is null ? 0 : 1, alpha: 1);
    }
}
