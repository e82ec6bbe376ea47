using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// The backward pass of a single fused operation through torch's autograd: its inputs become leaves, the operation alone is
/// recorded, and <see cref="Backward"/> asks for the gradients of those leaves. It is for kernels whose backward kernel has no
/// name of its own in TorchSharp, and for float64, where the project's own kernels do not apply.
/// </summary>
internal sealed class LocalGraph : IDisposable
{
    private readonly Tensor[] _leaves;
    private readonly Tensor _output;

    private LocalGraph(Tensor[] leaves, Tensor output)
    {
        _leaves = leaves;
        _output = output;
    }

    /// <summary>Computes <paramref name="operation"/>; with a tape, also records it there.</summary>
    internal static Tensor Run(Tape? tape, Func<Tensor[], Tensor> operation, params Tensor[] inputs)
    {
        if (tape is null)
        {
            return operation(inputs);
        }

        using var recording = enable_grad();
        using var scope = NewDisposeScope();
        var leaves = Array.ConvertAll(inputs, input => input.detach().requires_grad_().DetachFromDisposeScope());
        var output = operation(leaves).DetachFromDisposeScope();
        tape.PushOwned(new LocalGraph(leaves, output));
        return output.detach().MoveToOuterDisposeScope();
    }

    /// <summary>Gradients of the recorded operation's inputs, given that of its output.</summary>
    internal static IList<Tensor> Backward(Tape tape, Tensor outputGradient)
    {
        var graph = tape.PopOwned<LocalGraph>();
        return autograd.grad([graph._output], graph._leaves, [outputGradient]);
    }

    public void Dispose()
    {
        _output.Dispose();
        foreach (var leaf in _leaves)
        {
            leaf.Dispose();
        }
    }
}
