using SplitFrozen.Training.Pipelining;
using static TorchSharp.torch;

namespace SplitFrozen.Trainer.Stages;

/// <summary>A link to a neighbour in another process: sends through the session's connection, and receives what that sorts in here.</summary>
/// <param name="send">Posts a message to the neighbour; does not wait.</param>
internal sealed class MailStageLink(Action<StageMessage> send) : IStageLink, IDisposable
{
    private const string Values = "values";
    private readonly StageQueue _activations = new();
    private readonly StageQueue _gradients = new();

    /// <inheritdoc/>
    public void SendActivation(int microBatch, Tensor hidden) => send(new StageMessage(StageMessageKind.Activation, microBatch, "", [(Values, hidden)]));

    /// <inheritdoc/>
    public Tensor ReceiveActivation(int microBatch, CancellationToken cancellationToken) =>
        _activations.Take(microBatch, cancellationToken) ?? throw new TrainerException($"Micro-batch {microBatch} came without hidden states.");

    /// <inheritdoc/>
    public void SendGradient(int microBatch, Tensor? gradient) =>
        send(new StageMessage(StageMessageKind.Gradient, microBatch, "", gradient is null ? [] : [(Values, gradient)]));

    /// <inheritdoc/>
    public Tensor? ReceiveGradient(int microBatch, CancellationToken cancellationToken) => _gradients.Take(microBatch, cancellationToken);

    /// <summary>Sorts a message of the neighbour in.</summary>
    public void Accept(StageMessage message) => (message.Kind == StageMessageKind.Activation ? _activations : _gradients).Add(message.Number, message.Take(Values));

    /// <inheritdoc/>
    public void Clear()
    {
        _activations.Clear();
        _gradients.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _activations.Dispose();
        _gradients.Dispose();
    }
}
