using SplitFrozen.Training.Pipelining;
using static TorchSharp.torch;

namespace SplitFrozen.Trainer.Stages;

/// <summary>A link to a neighbour in another process: sends through the session's connection, and receives what that sorts in here.</summary>
/// <param name="send">Posts a message to the neighbour; does not wait.</param>
internal sealed class MailStageLink(Action<StageMessage> send) : StageLink
{
    private const string Values = "values";

    /// <inheritdoc/>
    public override void SendActivation(int microBatch, Tensor hidden) => send(new StageMessage(StageMessageKind.Activation, microBatch, "", [(Values, hidden)]));

    /// <inheritdoc/>
    public override void SendGradient(int microBatch, Tensor? gradient) =>
        send(new StageMessage(StageMessageKind.Gradient, microBatch, "", gradient is null ? [] : [(Values, gradient)]));

    /// <summary>Sorts a message of the neighbour in.</summary>
    public void Accept(StageMessage message) => (message.Kind == StageMessageKind.Activation ? Activations : Gradients).Add(message.Number, message.Take(Values));
}
