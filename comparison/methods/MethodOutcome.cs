namespace SplitFrozen.Comparison.Methods;

/// <summary>The model after some epochs.</summary>
/// <param name="Epoch">Passes over the training data so far; 0 before the first.</param>
/// <param name="TrainingLoss">Mean loss over the counted labels of the last epoch, each before the step that it took part in; null before the first.</param>
/// <param name="Metrics">Held-out metrics by name.</param>
public sealed record EpochResult(int Epoch, double? TrainingLoss, IReadOnlyDictionary<string, double> Metrics);

/// <summary>A trained tensor.</summary>
/// <param name="Name">Its name in a PEFT adapter, without the family's prefix.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Values">Its values, row-major.</param>
public sealed record TrainedTensor(string Name, long[] Shape, float[] Values);

/// <summary>
/// What one party computed and exchanged, counted while the method ran. Bytes are payload: tensors and labels, without framing.
/// Evaluation is not counted.
/// </summary>
public sealed record WorkCount
{
    /// <summary>Tokens that went forward, each as often as it did.</summary>
    public long ForwardTokens { get; init; }

    /// <summary>Tokens whose gradient came back, each as often as it did.</summary>
    public long BackwardTokens { get; init; }

    /// <summary>Blocks times tokens, forward.</summary>
    public long ForwardBlockTokens { get; init; }

    /// <summary>Useful floating-point operations of the forward passes, by the formula of <c>ModelFlops</c>.</summary>
    public long ForwardFlops { get; init; }

    /// <summary>Optimiser steps.</summary>
    public long Steps { get; init; }

    /// <summary>Activations and labels sent, in bytes.</summary>
    public long ActivationBytesSent { get; init; }

    /// <summary>Gradients of activations received, in bytes.</summary>
    public long GradientBytesReceived { get; init; }

    /// <summary>Adapters and heads sent, in bytes.</summary>
    public long AdapterBytesSent { get; init; }

    /// <summary>Adapters and heads received, in bytes.</summary>
    public long AdapterBytesReceived { get; init; }
}

/// <summary>What a method reached, what it trained, and what that took.</summary>
/// <param name="Epochs">Before the first epoch and after each.</param>
/// <param name="Trained">All trained tensors, clients' adapters averaged.</param>
/// <param name="Clients">Work of each client's device; empty where there are no clients.</param>
/// <param name="Server">Work of the server, or of the one machine that has everything.</param>
public sealed record MethodOutcome(
    IReadOnlyList<EpochResult> Epochs, IReadOnlyList<TrainedTensor> Trained, IReadOnlyList<WorkCount> Clients, WorkCount Server);

/// <summary>A method could not train to its end; the message says which, where and why.</summary>
public sealed class MethodException(string message, Exception inner) : Exception(message, inner);
