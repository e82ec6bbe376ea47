using RabbitMQ.Client;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>Why a session ended.</summary>
internal enum SessionEnd
{
    /// <summary>Its channel closed.</summary>
    Lost,

    /// <summary>The broker took the subscription away: the queue was deleted, or moved.</summary>
    Cancelled,
}

/// <summary>One channel with one subscription, from its opening to its loss. A delivery belongs to the session that brought it.</summary>
internal sealed class ConsumerSession<T> : AsyncDefaultBasicConsumer, IAsyncDisposable
    where T : class
{
    private readonly QueueConsumer<T> _owner;
    private readonly ConsumerSetup<T> _setup;
    private readonly CancellationToken _stop;
    private readonly TaskCompletionSource<SessionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ConsumerSession(QueueConsumer<T> owner, IChannel channel, ConsumerSetup<T> setup, CancellationToken stop)
        : base(channel)
    {
        _owner = owner;
        _setup = setup;
        _stop = stop;
    }

    /// <summary>Completes when nothing more will come; faulted when a message could be neither taken nor refused.</summary>
    public Task<SessionEnd> Ended => _ended.Task;

    /// <summary>True while its deliveries can be settled.</summary>
    public bool IsOpen => !_ended.Task.IsCompleted && Channel.IsOpen;

    public async Task SubscribeAsync(CancellationToken cancellationToken)
    {
        Channel.ChannelShutdownAsync += (_, _) =>
        {
            _ended.TrySetResult(SessionEnd.Lost);
            return Task.CompletedTask;
        };
        try
        {
            await _setup.DeclareAsync(Channel, cancellationToken).ConfigureAwait(false);
            await Channel.BasicQosAsync(0, checked((ushort)_setup.Prefetch), global: false, cancellationToken).ConfigureAwait(false);
            await Channel.BasicConsumeAsync(_setup.Queue.Name, autoAck: false, this, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException("The broker does not answer.", exception);
        }
    }

    /// <inheritdoc/>
    public override async Task HandleBasicDeliverAsync(
        string consumerTag, ulong deliveryTag, bool redelivered, string exchange, string routingKey, IReadOnlyBasicProperties properties,
        ReadOnlyMemory<byte> body, CancellationToken cancellationToken = default)
    {
        try
        {
            var inspection = _setup.Inspect(new IncomingMessage(properties, redelivered, body));
            if (inspection.Reason is { } reason)
            {
                await _setup.BuryAsync(reason, inspection.Kept, _stop).ConfigureAwait(false);
                await AcknowledgeAsync(deliveryTag, _stop).ConfigureAwait(false);
            }
            else
            {
                var trace = new MessageTrace(_setup.Queue, properties.MessageId, body.Length, TraceHeaders.Read(properties.Headers));
                _owner.Add(new QueueDelivery<T>(this, deliveryTag, inspection.Value!, trace));
            }
        }
        catch (Exception exception)
        {
            _ended.TrySetException(exception);
        }
    }

    /// <inheritdoc/>
    public override Task HandleBasicCancelAsync(string consumerTag, CancellationToken cancellationToken = default)
    {
        _ended.TrySetResult(SessionEnd.Cancelled);
        return Task.CompletedTask;
    }

    /// <summary>Settles a delivery; does nothing when the channel is gone, since the broker delivers it again.</summary>
    public async Task AcknowledgeAsync(ulong deliveryTag, CancellationToken cancellationToken)
    {
        try
        {
            await Channel.BasicAckAsync(deliveryTag, multiple: false, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (RabbitMqFailures.IsClosed(exception))
        {
            // The channel's shutdown has ended, or is about to end, this session.
        }
    }

    /// <summary>Closes the channel: what is not settled goes back to the queue.</summary>
    public async ValueTask DisposeAsync()
    {
        _ended.TrySetResult(SessionEnd.Lost);
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
}

/// <summary>A message in the service's hands.</summary>
internal sealed class QueueDelivery<T>(ConsumerSession<T> session, ulong tag, T value, MessageTrace trace)
    where T : class
{
    private int _settled;

    public ConsumerSession<T> Session => session;

    public T Value => value;

    public MessageTrace Trace => trace;

    public async ValueTask AcknowledgeAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (TrySettle())
        {
            await session.AcknowledgeAsync(tag, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Buries the message first and takes it off the queue then: a loss between the two repeats it, and loses nothing.</summary>
    public async ValueTask RejectAsync(Func<T, CancellationToken, Task> buryAsync, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (TrySettle())
        {
            await buryAsync(value, cancellationToken).ConfigureAwait(false);
            await session.AcknowledgeAsync(tag, cancellationToken).ConfigureAwait(false);
        }
    }

    private bool TrySettle() => session.IsOpen && Interlocked.Exchange(ref _settled, 1) == 0;
}
