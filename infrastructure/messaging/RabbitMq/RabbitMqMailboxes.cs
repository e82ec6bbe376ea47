using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>
/// Mailboxes as exclusive queues: they belong to the connection that declared them and go with it, so that a sender hears at once that a process has
/// died. A mailbox's name is its lock. Thread-safe.
/// </summary>
internal sealed class RabbitMqMailboxes(
    RabbitMqOptions options, RabbitMqConnection consuming, ConfirmingPublisher publisher, RabbitMqResilience resilience, MessageInspector inspector, RabbitMqDeadLetters deadLetters) : IStageMailboxes
{
    /// <inheritdoc/>
    public async Task<IStageMailbox?> TryOpenAsync(StageAddress address, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(address);
        return await resilience.OnFailure.ExecuteAsync(async token => await OpenAsync(address, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task SendAsync(StageAddress address, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(address);
        var gone = new Address("", RabbitMqTopology.StageQueue(address), MessageQueue.Stages(address), (_, _) => throw new MailboxGoneException($"Nobody is there as {address}."));
        try
        {
            foreach (var (headers, frame) in FrameAssembler.Split(Guid.NewGuid().ToString("N"), body))
            {
                await resilience.WhileFull.ExecuteAsync(
                    async token => await publisher.PublishAsync(gone, "application/vnd.safetensors", headers, frame, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception exception) when (RabbitMqFailures.IsPassing(exception) || RabbitMqFailures.IsClosed(exception))
        {
            throw new MailboxGoneException($"The connection to {address} is lost: {exception.Message}", exception);
        }
    }

    private async Task<RabbitMqMailbox?> OpenAsync(StageAddress address, CancellationToken cancellationToken)
    {
        var channel = await consuming.OpenChannelAsync(null, cancellationToken).ConfigureAwait(false);
        var mailbox = new RabbitMqMailbox(channel, address, inspector, deadLetters, options.StageQueueBytes);
        try
        {
            var queue = await RabbitMqTopology.DeclareStageAsync(channel, address, options.StageQueueBytes, cancellationToken).ConfigureAwait(false);
            await mailbox.SubscribeAsync(queue, cancellationToken).ConfigureAwait(false);
            return mailbox;
        }
        catch (OperationInterruptedException exception) when (RabbitMqFailures.HasCode(exception, Constants.ResourceLocked) || RabbitMqFailures.HasCode(exception, Constants.AccessRefused))
        {
            // Another connection has the queue, or, of this same connection, another consumer.
            await mailbox.DisposeAsync().ConfigureAwait(false);
            return null;
        }
        catch
        {
            await mailbox.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
