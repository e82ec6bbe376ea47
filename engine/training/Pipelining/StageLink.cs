using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pipelining;

/// <summary>
/// What a stage exchanges with the stage before it or behind it. Sending does not wait for the other side to take it; receiving waits. Who
/// receives a tensor owns it; who sends one keeps its own. Both sides send and receive micro-batches in their order.
/// </summary>
public abstract class StageLink : IDisposable
{
    /// <summary>Hidden states that have come from below.</summary>
    protected StageQueue Activations { get; } = new();

    /// <summary>Gradients that have come from above.</summary>
    protected StageQueue Gradients { get; } = new();

    /// <summary>Hands hidden states <c>[ΣT, H]</c> up.</summary>
    public abstract void SendActivation(int microBatch, Tensor hidden);

    /// <summary>Hands a gradient <c>[ΣT, H]</c> down; null where the micro-batch has no label that counts, so that nothing runs backward.</summary>
    public abstract void SendGradient(int microBatch, Tensor? gradient);

    /// <summary>Waits for hidden states from below.</summary>
    /// <exception cref="OperationCanceledException">The step was abandoned.</exception>
    /// <exception cref="InvalidOperationException">Another micro-batch came, or one without hidden states.</exception>
    public Tensor ReceiveActivation(int microBatch, CancellationToken cancellationToken) =>
        Activations.Take(microBatch, cancellationToken) ?? throw new InvalidOperationException($"Micro-batch {microBatch} came without hidden states.");

    /// <summary>Waits for a gradient from above.</summary>
    /// <exception cref="OperationCanceledException">The step was abandoned.</exception>
    /// <exception cref="InvalidOperationException">Another micro-batch came.</exception>
    public Tensor? ReceiveGradient(int microBatch, CancellationToken cancellationToken) => Gradients.Take(microBatch, cancellationToken);

    /// <summary>Drops what has come and was not received: the step was abandoned.</summary>
    public void Clear()
    {
        Activations.Clear();
        Gradients.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Activations.Dispose();
        Gradients.Dispose();
        GC.SuppressFinalize(this);
    }
}

/// <summary>Tensors on their way to a stage, in the order in which they were sent. Holds no more than the schedule lets a stage run ahead.</summary>
public sealed class StageQueue : IDisposable
{
    private readonly BlockingCollection<(int MicroBatch, Tensor? Tensor)> _waiting = [];

    /// <summary>Adds a tensor, which is taken over.</summary>
    public void Add(int microBatch, Tensor? tensor) => _waiting.Add((microBatch, tensor), CancellationToken.None);

    /// <summary>Waits for the tensor of a micro-batch; the caller owns it.</summary>
    /// <exception cref="OperationCanceledException">The step was abandoned.</exception>
    /// <exception cref="InvalidOperationException">Another micro-batch came.</exception>
    public Tensor? Take(int microBatch, CancellationToken cancellationToken)
    {
        var (received, tensor) = _waiting.Take(cancellationToken);
        return received == microBatch
            ? tensor
            : throw new InvalidOperationException($"Micro-batch {received} came over a stage link where {microBatch} was due.");
    }

    /// <summary>Drops what waits.</summary>
    public void Clear()
    {
        while (_waiting.TryTake(out var dropped))
        {
            dropped.Tensor?.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        _waiting.Dispose();
    }
}

/// <summary>A link within one process: tensors go over as handles of the same memory.</summary>
public sealed class InProcessStageLink : StageLink
{
    /// <inheritdoc/>
    public override void SendActivation(int microBatch, Tensor hidden)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        Activations.Add(microBatch, hidden.alias().DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public override void SendGradient(int microBatch, Tensor? gradient) => Gradients.Add(microBatch, gradient?.alias().DetachFromDisposeScope());
}
