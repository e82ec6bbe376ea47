using SplitFrozen.Torch.Kernels;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// LayerNorm (Ba et al., 2016) where there is a bias, else RMSNorm (Zhang and Sennrich, 2019), over the last dimension of
/// packed rows <c>[n, H]</c>: the project's fused kernels in f32, torch's otherwise.
/// </summary>
internal sealed class Norm(LayerWeight weight, LayerWeight? bias, double epsilon) : IDisposable
{
    /// <summary>Whether the weights get gradients.</summary>
    internal bool Trains => weight.Parameter is not null;

    internal Tensor Forward(Tensor x, Tape? tape)
    {
        using var phase = PhaseTimes.In("norms, forward");
        if (x.dtype != ScalarType.Float32)
        {
            return bias is null
                ? LocalGraph.Run(tape, RootMeanSquare, x, weight.Value)
                : LocalGraph.Run(tape, Layer, x, weight.Value, bias.Value);
        }

        tape?.Push(x);
        return NormKernels.Forward(x, weight.Value, bias?.Value, epsilon);
    }

    /// <summary>The gradient of x; gradients of weights are put off.</summary>
    internal Tensor Backward(Tensor dy, Tape tape, WeightGradients deferred)
    {
        using var phase = PhaseTimes.In("norms, backward");
        if (dy.dtype != ScalarType.Float32)
        {
            var gradients = LocalGraph.Backward(tape, dy);
            if (Trains)
            {
                deferred.Defer(held => Accumulate(held[0], bias is null ? null : held[1]), [.. gradients.Skip(1)]);
            }

            return gradients[0];
        }

        var x = tape.Pop();
        if (Trains)
        {
            deferred.Defer(
                held =>
                {
                    var (dWeight, dBias) = NormKernels.WeightBackward(held[0], held[1], epsilon, centred: bias is not null);
                    Accumulate(dWeight, dBias);
                },
                x, dy);
        }

        return NormKernels.Backward(x, weight.Value, dy, epsilon, centred: bias is not null);
    }

    public void Dispose()
    {
        weight.Dispose();
        bias?.Dispose();
    }

    private void Accumulate(Tensor dWeight, Tensor? dBias)
    {
        weight.Parameter!.Accumulate(dWeight);
        bias?.Parameter!.Accumulate(dBias!);
    }

    private Tensor Layer(Tensor[] inputs) =>
        nn.functional.layer_norm(inputs[0], [inputs[0].shape[^1]], inputs[1], inputs[2], epsilon);

    private Tensor RootMeanSquare(Tensor[] inputs) =>
        inputs[0] * (inputs[0] * inputs[0]).mean([-1], keepdim: true).Plus(epsilon).rsqrt() * inputs[1];
}
