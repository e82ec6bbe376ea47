using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>The nonlinearities of the feed-forward parts, with their backward passes.</summary>
internal static class Activation
{
    /// <summary>GELU in its tanh form (Hendrycks and Gimpel, 2016), elementwise.</summary>
    internal static Tensor Gelu(Tensor x, Tape? tape) =>
        LocalGraph.Run(tape, inputs => inputs[0].gelu(TorchSharp.Modules.GELU.Approximate.tanh), x);

    /// <summary>The gradient of <see cref="Gelu"/>'s input.</summary>
    internal static Tensor GeluBackward(Tensor dy, Tape tape) => LocalGraph.Backward(tape, dy)[0];

    /// <summary>SwiGLU's gate (Shazeer, 2020): <c>silu(gate) · up</c>, elementwise.</summary>
    internal static Tensor SwiGlu(Tensor gate, Tensor up, Tape? tape) =>
        LocalGraph.Run(tape, inputs => nn.functional.silu(inputs[0]) * inputs[1], gate, up);

    /// <summary>The gradients of <see cref="SwiGlu"/>'s inputs.</summary>
    internal static (Tensor Gate, Tensor Up) SwiGluBackward(Tensor dy, Tape tape)
    {
        var gradients = LocalGraph.Backward(tape, dy);
        return (gradients[0], gradients[1]);
    }
}
