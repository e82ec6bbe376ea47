using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// LayerNorm (Ba et al., 2016) where there is a bias, else RMSNorm (Zhang and Sennrich, 2019), over the last dimension of
/// packed rows <c>[n, H]</c>.
/// </summary>
internal sealed class Norm(LayerWeight weight, LayerWeight? bias, double epsilon) : IDisposable
{
    /// <summary>Whether the weights get gradients.</summary>
    internal bool Trains => weight.Parameter is not null;

    internal Tensor Forward(Tensor x, Tape? tape)
    {
        Tensor[] inputs = Trains || tape is null ? Weights(x) : [x];
        return LocalGraph.Run(tape, Trains || tape is null ? Apply : leaves => Apply(Weights(leaves[0])), inputs);
    }

    /// <summary>The gradient of x; gradients of weights are put off.</summary>
    internal Tensor Backward(Tensor dy, Tape tape, WeightGradients deferred)
    {
        var gradients = LocalGraph.Backward(tape, dy);
        if (Trains)
        {
            deferred.Defer(
                held =>
                {
                    weight.Parameter!.Accumulate(held[0]);
                    bias?.Parameter!.Accumulate(held[1]);
                },
                [.. gradients.Skip(1)]);
        }

        return gradients[0];
    }

    public void Dispose()
    {
        weight.Dispose();
        bias?.Dispose();
    }

    private Tensor[] Weights(Tensor x) => bias is null ? [x, weight.Value] : [x, weight.Value, bias.Value];

    private Tensor Apply(Tensor[] inputs)
    {
        var x = inputs[0];
        if (bias is not null)
        {
            return nn.functional.layer_norm(x, [x.shape[^1]], inputs[1], inputs[2], epsilon);
        }

        var reciprocal = (x.square().mean([-1], keepdim: true) + epsilon).rsqrt();
        return x * reciprocal * inputs[1];
    }
}
