using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pipelining;

/// <summary>
/// What a stage exchanges with the stage before it or behind it. Sending does not wait for the other side to take it; receiving waits. Who
/// receives a tensor owns it; who sends one keeps its own.
/// </summary>
public interface IStageLink
{
    /// <summary>Hands hidden states <c>[ΣT, H]</c> up.</summary>
    void SendActivation(int microBatch, Tensor hidden);

    /// <summary>Waits for hidden states from below.</summary>
    /// <exception cref="OperationCanceledException">The step was abandoned.</exception>
    Tensor ReceiveActivation(int microBatch, CancellationToken cancellationToken);

    /// <summary>Hands a gradient <c>[ΣT, H]</c> down; null where the micro-batch has no label that counts, so that nothing runs backward.</summary>
    void SendGradient(int microBatch, Tensor? gradient);

    /// <summary>Waits for a gradient from above.</summary>
    /// <exception cref="OperationCanceledException">The step was abandoned.</exception>
    Tensor? ReceiveGradient(int microBatch, CancellationToken cancellationToken);
}

/// <summary>
/// A link within one process: tensors go over as handles of the same memory. Holds no more than the schedule lets a stage run ahead. Both sides
/// send and receive micro-batches in their order.
/// </summary>
public sealed class InProcessStageLink : IStageLink, IDisposable
{
    private readonly BlockingCollection<(int MicroBatch, Tensor Hidden)> _activations = [];
    private readonly BlockingCollection<(int MicroBatch, Tensor? Gradient)> _gradients = [];

    /// <inheritdoc/>
    public void SendActivation(int microBatch, Tensor hidden)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        _activations.Add((microBatch, hidden.alias().DetachFromDisposeScope()), CancellationToken.None);
    }

    /// <inheritdoc/>
    public Tensor ReceiveActivation(int microBatch, CancellationToken cancellationToken)
    {
        var (received, hidden) = _activations.Take(cancellationToken);
        return received == microBatch ? hidden : throw OutOfOrder(microBatch, received);
    }

    /// <inheritdoc/>
    public void SendGradient(int microBatch, Tensor? gradient) =>
        _gradients.Add((microBatch, gradient?.alias().DetachFromDisposeScope()), CancellationToken.None);

    /// <inheritdoc/>
    public Tensor? ReceiveGradient(int microBatch, CancellationToken cancellationToken)
    {
        var (received, gradient) = _gradients.Take(cancellationToken);
        return received == microBatch ? gradient : throw OutOfOrder(microBatch, received);
    }

    /// <summary>Drops what was sent and not received: the step was abandoned.</summary>
    public void Clear()
    {
        while (_activations.TryTake(out var activation))
        {
            activation.Hidden.Dispose();
        }

        while (_gradients.TryTake(out var gradient))
        {
            gradient.Gradient?.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        _activations.Dispose();
        _gradients.Dispose();
    }

    private static InvalidOperationException OutOfOrder(int expected, int received) => new($"Micro-batch {received} came over a stage link where {expected} was due.");
}
