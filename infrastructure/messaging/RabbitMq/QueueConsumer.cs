using System.Runtime.ExceptionServices;
using Polly;
using RabbitMQ.Client;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>What a consumer reads and what it makes of a message.</summary>
/// <param name="Queue">The queue.</param>
/// <param name="Prefetch">Most messages that are not settled.</param>
/// <param name="DeclareAsync">Makes the queue.</param>
/// <param name="Inspect">Looks at a message while the client's pooled memory holds it: the value that is kept, or the reason why it is refused.</param>
/// <param name="BuryAsync">Takes what was refused to the dead letters: reason and body.</param>
internal sealed record ConsumerSetup<T>(
    MessageQueue Queue,
    int Prefetch,
    Func<IChannel, CancellationToken, Task> DeclareAsync,
    Func<IncomingMessage, Inspection<T>> Inspect,
    Func<string, ReadOnlyMemory<byte>, CancellationToken, Task> BuryAsync)
    where T : class;

/// <summary>A message in the handler. <paramref name="Body"/> is pooled: it ends with the handler.</summary>
internal readonly record struct IncomingMessage(IReadOnlyBasicProperties Properties, bool Redelivered, ReadOnlyMemory<byte> Body);

/// <summary>The value of a good message, or the reason against it and what to keep of its body.</summary>
internal readonly record struct Inspection<T>(T? Value, string? Reason, ReadOnlyMemory<byte> Kept = default)
    where T : class;

/// <summary>
/// Reads one queue for as long as it exists: after a lost connection it declares and subscribes again by itself. What it
/// handed out before is stale then; the broker delivers it again. Thread-safe.
/// </summary>
internal sealed class QueueConsumer<T> : IAsyncDisposable
    where T : class
{
    private readonly RabbitMqConnection _connection;
    private readonly ConsumerSetup<T> _setup;
    private readonly ResiliencePipeline _onFailure;
    private readonly Lock _gate = new();
    private readonly Queue<QueueDelivery<T>> _ready = [];
    private readonly ChangeSignal _changed = new();
    private readonly CancellationTokenSource _stop = new();
    private ConsumerSession<T>? _session;
    private ExceptionDispatchInfo? _fault;
    private Task _keeping = Task.CompletedTask;
    private bool _ended;

    private QueueConsumer(RabbitMqConnection connection, ConsumerSetup<T> setup, ResiliencePipeline onFailure)
    {
        _connection = connection;
        _setup = setup;
        _onFailure = onFailure;
    }

    public static async Task<QueueConsumer<T>> StartAsync(
        RabbitMqConnection connection, ConsumerSetup<T> setup, ResiliencePipeline onFailure, CancellationToken cancellationToken)
    {
        var consumer = new QueueConsumer<T>(connection, setup, onFailure);
        try
        {
            var session = await consumer.OpenAsync(cancellationToken).ConfigureAwait(false);
            consumer._keeping = consumer.KeepAsync(session);
            return consumer;
        }
        catch
        {
            await consumer.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public bool TryTake(out QueueDelivery<T>? delivery)
    {
        lock (_gate)
        {
            return _ready.TryDequeue(out delivery);
        }
    }

    /// <summary>Completes when a delivery is there; false when the queue is gone or the consumer disposed.</summary>
    public async ValueTask<bool> WaitAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task change;
            lock (_gate)
            {
                _fault?.Throw();
                if (_ended)
                {
                    return false;
                }

                if (_ready.Count > 0)
                {
                    return true;
                }

                change = _changed.Next;
            }

            await change.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        End(null);
        await _stop.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
    }

    internal void Add(QueueDelivery<T> delivery)
    {
        lock (_gate)
        {
            if (_ended || delivery.Session != _session)
            {
                return;
            }

            _ready.Enqueue(delivery);
            _changed.Raise();
        }
    }

    private async Task KeepAsync(ConsumerSession<T> session)
    {
        try
        {
            while (true)
            {
                var end = await session.Ended.WaitAsync(_stop.Token).ConfigureAwait(false);
                Replace(null);
                await session.DisposeAsync().ConfigureAwait(false);
                if (end == SessionEnd.Cancelled && !await QueueExistsAsync(_stop.Token).ConfigureAwait(false))
                {
                    End(null);
                    return;
                }

                session = await OpenAsync(_stop.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            End(null);
        }
        catch (Exception exception)
        {
            End(exception);
        }
        finally
        {
            await session.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task<ConsumerSession<T>> OpenAsync(CancellationToken cancellationToken) =>
        await _onFailure.ExecuteAsync(
            async token =>
            {
                var channel = await _connection.OpenChannelAsync(null, token).ConfigureAwait(false);
                var session = new ConsumerSession<T>(this, channel, _setup, _stop.Token);
                Replace(session);
                try
                {
                    await session.SubscribeAsync(token).ConfigureAwait(false);
                    return session;
                }
                catch
                {
                    Replace(null);
                    await session.DisposeAsync().ConfigureAwait(false);
                    throw;
                }
            },
            cancellationToken).ConfigureAwait(false);

    private async Task<bool> QueueExistsAsync(CancellationToken cancellationToken) => await _onFailure.ExecuteAsync(
        async token => await _connection.QueueExistsAsync(_setup.Queue.Name, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);

    /// <summary>From now on only deliveries of this session count.</summary>
    private void Replace(ConsumerSession<T>? session)
    {
        lock (_gate)
        {
            _session = session;
            _ready.Clear();
        }
    }

    private void End(Exception? fault)
    {
        lock (_gate)
        {
            if (!_ended)
            {
                _fault = fault is null ? null : ExceptionDispatchInfo.Capture(fault);
            }

            _ended = true;
            _ready.Clear();
            _changed.Raise();
        }
    }
}
