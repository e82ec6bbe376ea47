using SplitFrozen.Torch;
using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// The nonlinearities of the feed-forward parts, with their backward passes: the project's fused kernels in f32, torch's otherwise.
/// </summary>
internal static class Activation
{
    /// <summary>GELU in its tanh form (Hendrycks and Gimpel, 2016), elementwise; without a tape it overwrites x.</summary>
    internal static Tensor Gelu(Tensor x, Tape? tape)
    {
        using var phase = PhaseTimes.In("activations, forward");
        if (x.dtype != ScalarType.Float32)
        {
            return LocalGraph.Run(tape, inputs => inputs[0].gelu(TorchSharp.Modules.GELU.Approximate.tanh), x);
        }

        tape?.Push(x);
        return ActivationKernels.Gelu(x, inPlace: tape is null);
    }

    /// <summary>The gradient of <see cref="Gelu"/>'s input; may overwrite <paramref name="dy"/>.</summary>
    internal static Tensor GeluBackward(Tensor dy, Tape tape)
    {
        using var phase = PhaseTimes.In("activations, backward");
        if (dy.dtype != ScalarType.Float32)
        {
            return LocalGraph.Backward(tape, dy)[0];
        }

        ActivationKernels.GeluBackward(tape.Pop(), dy);
        return dy;
    }

    /// <summary>SwiGLU's gate (Shazeer, 2020): <c>silu(gate) · up</c>, elementwise.</summary>
    internal static Tensor SwiGlu(Tensor gate, Tensor up, Tape? tape)
    {
        using var phase = PhaseTimes.In("activations, forward");
        if (gate.dtype != ScalarType.Float32)
        {
            return LocalGraph.Run(tape, inputs => nn.functional.silu(inputs[0]) * inputs[1], gate, up);
        }

        tape?.Push(gate);
        tape?.Push(up);
        return ActivationKernels.SwiGlu(gate, up);
    }

    /// <summary>The gradients of <see cref="SwiGlu"/>'s inputs.</summary>
    internal static (Tensor Gate, Tensor Up) SwiGluBackward(Tensor dy, Tape tape)
    {
        using var phase = PhaseTimes.In("activations, backward");
        if (dy.dtype != ScalarType.Float32)
        {
            var gradients = LocalGraph.Backward(tape, dy);
            return (gradients[0], gradients[1]);
        }

        var up = tape.Pop();
        return ActivationKernels.SwiGluBackward(tape.Pop(), up, dy);
    }
}
