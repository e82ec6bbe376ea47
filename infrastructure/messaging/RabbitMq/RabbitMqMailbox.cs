using System.Runtime.CompilerServices;
using System.Threading.Channels;
using RabbitMQ.Client;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>The consumer of one mailbox: checks each frame's sender and content, and acknowledges it when its body is taken over.</summary>
internal sealed class RabbitMqMailbox : AsyncDefaultBasicConsumer, IStageMailbox
{
    private const ushort Prefetch = 16;
    private const int BodiesAhead = 64;

    private readonly StageAddress _address;
    private readonly MessageInspector _inspector;
    private readonly RabbitMqDeadLetters _deadLetters;
    private readonly FrameAssembler _assembler;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<byte[]> _bodies = System.Threading.Channels.Channel.CreateBounded<byte[]>(
        new BoundedChannelOptions(BodiesAhead) { SingleReader = true, SingleWriter = true });

    public RabbitMqMailbox(IChannel channel, StageAddress address, MessageInspector inspector, RabbitMqDeadLetters deadLetters, long maximumBytes)
        : base(channel) => (_address, _inspector, _deadLetters, _assembler) = (address, inspector, deadLetters, new FrameAssembler(maximumBytes));

    /// <summary>Begins to receive from a queue that this connection has declared.</summary>
    public async Task SubscribeAsync(string queue, CancellationToken cancellationToken)
    {
        Channel.ChannelShutdownAsync += (_, shutdown) =>
        {
            End(new MailboxGoneException($"The connection of {_address} is lost: {shutdown.ReplyText}"));
            return Task.CompletedTask;
        };
        await Channel.BasicQosAsync(0, Prefetch, global: false, cancellationToken).ConfigureAwait(false);
        await Channel.BasicConsumeAsync(queue, autoAck: false, consumerTag: "", noLocal: false, exclusive: true, arguments: null, this, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override async Task HandleBasicDeliverAsync(
        string consumerTag, ulong deliveryTag, bool redelivered, string exchange, string routingKey, IReadOnlyBasicProperties properties,
        ReadOnlyMemory<byte> body, CancellationToken cancellationToken = default)
    {
        try
        {
            var message = new IncomingMessage(properties, redelivered, body);
            var (refused, kept) = _inspector.StepFault(message);
            var (whole, fault) = refused is null ? _assembler.Add(properties.Headers, body.Span) : (null, null);
            if ((refused ?? fault) is { } reason)
            {
                await _deadLetters.AddAsync(_address.RunId, "", reason, refused is null ? body : kept, _stop.Token).ConfigureAwait(false);
            }

            if (whole is not null)
            {
                await _bodies.Writer.WriteAsync(whole, _stop.Token).ConfigureAwait(false);
            }

            await Channel.BasicAckAsync(deliveryTag, multiple: false, _stop.Token).ConfigureAwait(false);
            if (fault is not null)
            {
                End(new MailboxGoneException($"What came for {_address} is damaged: {fault}"));
            }
        }
        catch (Exception exception)
        {
            End(exception as MailboxGoneException ?? new MailboxGoneException($"What came for {_address} could not be taken: {exception.Message}", exception));
        }
    }

    /// <inheritdoc/>
    public override Task HandleBasicCancelAsync(string consumerTag, CancellationToken cancellationToken = default)
    {
        End(new MailboxGoneException($"The broker took the mailbox of {_address} away."));
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<byte[]> ReceiveAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var body in _bodies.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            yield return body;
        }
    }

    /// <summary>Closes the channel, and with it the queue.</summary>
    public async ValueTask DisposeAsync()
    {
        End(new MailboxGoneException($"The mailbox of {_address} was closed."));
        await _stop.CancelAsync().ConfigureAwait(false);
        try
        {
            await Channel.AbortAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception exception) when (RabbitMqFailures.IsClosed(exception))
        {
            // Closed already.
        }

        await Channel.DisposeAsync().ConfigureAwait(false);
    }

    private void End(MailboxGoneException reason) => _bodies.Writer.TryComplete(reason);
}
