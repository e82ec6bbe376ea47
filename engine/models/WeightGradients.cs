using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// The W half of a decomposed backward pass: closures that were put off while the input gradients (B) were computed. They
/// run in the order in which they were put off, so sums are the same in every run.
/// </summary>
public sealed class WeightGradients : IDisposable
{
    private readonly Queue<(Action Compute, Tensor[] Held)> _pending = new();

    /// <summary>Number of closures that wait.</summary>
    public int Pending => _pending.Count;

    /// <summary>Runs all closures: each adds to the gradient of its parameters and then frees what it held.</summary>
    public void Run()
    {
        using var phase = PhaseTimes.In("weight gradients (W)");
        using var noGradient = no_grad();
        while (_pending.TryDequeue(out var item))
        {
            using (NewDisposeScope())
            {
                item.Compute();
            }

            Free(item.Held);
        }
    }

    /// <summary>Drops what was not run.</summary>
    public void Dispose()
    {
        while (_pending.TryDequeue(out var item))
        {
            Free(item.Held);
        }
    }

    /// <summary>
    /// Puts a computation off. It gets its own handles of the tensors it needs, so the caller may free its own at any time.
    /// </summary>
    internal void Defer(Action<Tensor[]> compute, params Tensor[] needed)
    {
        var held = Array.ConvertAll(needed, tensor => tensor.alias().DetachFromDisposeScope());
        _pending.Enqueue((() => compute(held), held));
    }

    private static void Free(Tensor[] held)
    {
        foreach (var tensor in held)
        {
            tensor.Dispose();
        }
    }
}
