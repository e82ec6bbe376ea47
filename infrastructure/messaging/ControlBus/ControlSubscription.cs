using System.Runtime.Serialization;
using System.Text.Json;
using MassTransit;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>
/// One subscription: a receive endpoint with a queue of its own. The bus library gives an endpoint up for ever when a connect is
/// cancelled from within, as happens where a connection dies while it is being made; so an endpoint that stays away is replaced, on the same queue.
/// </summary>
internal sealed class ControlSubscription : IDisposable
{
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();

    // Messages are handled one at a time also while an endpoint takes another's place.
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Func<ControlSubscription, HostReceiveEndpointHandle, Task> _end;
    private readonly TimeProvider _time;

    // The bus library keeps what an endpoint was made of until its bus ends; of a subscription that has ended it must not keep a whole run alive.
    private object? _handler;
    private Func<HostReceiveEndpointHandle> _connect = null!;
    private HostReceiveEndpointHandle _endpoint = null!;
    private long? _awaySince;
    private bool _disposed;

    private ControlSubscription(string queue, TimeProvider time, Func<ControlSubscription, HostReceiveEndpointHandle, Task> end)
    {
        Queue = queue;
        _time = time;
        _end = end;
        _awaySince = time.GetTimestamp();
    }

    /// <summary>Name of its queue, unlike any other.</summary>
    public string Queue { get; }

    /// <summary>Completes when the queue is bound, or the subscription has ended before. Never faults: the library goes on trying.</summary>
    public Task Connected => _connected.Task;

    /// <summary>Completes when no handler runs any more and the queue is gone.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Starts to connect a subscription.</summary>
    public static ControlSubscription Connect<TMessage>(
        IBusControl bus, ControlBusOptions options, TimeProvider time, Func<TMessage, CancellationToken, ValueTask> handler, IReadOnlyCollection<string> addresses,
        Action<Type, Exception> report, Func<ControlSubscription, HostReceiveEndpointHandle, Task> end)
        where TMessage : class
    {
        var queue = $"splitfrozen.control.{options.ProcessName}.{Guid.NewGuid():N}.{typeof(TMessage).Name}";
        var subscription = new ControlSubscription(queue, time, end) { _handler = handler };
        subscription._connect = () => bus.ConnectReceiveEndpoint(queue, endpoint =>
        {
            DeclareQueue((IRabbitMqReceiveEndpointConfigurator)endpoint, options);
            Bind<TMessage>((IRabbitMqReceiveEndpointConfigurator)endpoint, addresses);
            endpoint.ConnectReceiveEndpointObserver(new StateObserver(subscription));
            if (options.RetryCount > 0)
            {
                endpoint.UseMessageRetry(retry =>
                {
                    retry.Exponential(options.RetryCount, options.RetryInterval, options.RetryMaximumInterval, options.RetryInterval);
                    retry.Ignore(typeof(SerializationException), typeof(JsonException));
                });
            }

            endpoint.Handler<TMessage>(context => subscription.HandleAsync(context, options.RetryCount, report));
        });
        subscription._endpoint = subscription._connect();
        return subscription;
    }

    /// <summary>Replaces the endpoint when it has not been on its queue for longer than <paramref name="patience"/>.</summary>
    /// <param name="patience">Longer than the bus library takes to come back by itself.</param>
    /// <param name="stopAsync">Stops the endpoint that is given up.</param>
    /// <returns>True when it was replaced.</returns>
    public async Task<bool> ReplaceIfAwayAsync(TimeSpan patience, Func<HostReceiveEndpointHandle, Task> stopAsync)
    {
        HostReceiveEndpointHandle endpoint;
        lock (_gate)
        {
            if (_disposed || _awaySince is not { } since || _time.GetElapsedTime(since) < patience)
            {
                return false;
            }

            endpoint = _endpoint;
        }

        await stopAsync(endpoint).ConfigureAwait(false);
        lock (_gate)
        {
            if (_disposed)
            {
                return false;
            }

            _awaySince = _time.GetTimestamp();
            _endpoint = _connect();
            return true;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
        }

        // Off the caller's thread: callbacks of the token are the handler's own code.
        _ = Task.Run(async () =>
        {
            await _stop.CancelAsync().ConfigureAwait(false);
            await _end(this, _endpoint).ConfigureAwait(false);
            _handler = null;
            _connected.TrySetResult();
            _ended.SetResult();
        });
    }

    private static void DeclareQueue(IRabbitMqReceiveEndpointConfigurator endpoint, ControlBusOptions options)
    {
        endpoint.Durable = true;

        // With an expiration this makes only the queue's exchange auto-delete, so that it vanishes with the queue.
        endpoint.AutoDelete = true;
        endpoint.QueueExpiration = options.QueueExpiration;
        endpoint.SetQueueArgument("x-max-length-bytes", options.QueueBytes);
        endpoint.SetQueueArgument("x-overflow", "reject-publish");
        endpoint.PrefetchCount = options.Prefetch;
        endpoint.ConcurrentMessageLimit = 1;

        // Nobody listens to the library's fault events; they would only add exchanges.
        endpoint.PublishFaults = false;
    }

    private static void Bind<TMessage>(IRabbitMqReceiveEndpointConfigurator endpoint, IReadOnlyCollection<string> addresses)
        where TMessage : class
    {
        endpoint.ConfigureConsumeTopology = false;
        if (!ControlTopology.IsAddressed(typeof(TMessage)))
        {
            endpoint.Bind<TMessage>(ControlTopology.Route<TMessage>);
            return;
        }

        foreach (var address in addresses.Distinct())
        {
            endpoint.Bind<TMessage>(binding =>
            {
                ControlTopology.Route<TMessage>(binding);
                binding.RoutingKey = address;
            });
        }
    }

    private async Task HandleAsync<TMessage>(ConsumeContext<TMessage> context, int retryCount, Action<Type, Exception> report)
        where TMessage : class
    {
        await _turn.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            if (_stop.IsCancellationRequested || _handler is not Func<TMessage, CancellationToken, ValueTask> handler)
            {
                return;
            }

            await handler(context.Message, _stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Disposed: what is left in the queue is nobody's.
        }
        catch (Exception exception) when (context.GetRetryAttempt() >= retryCount)
        {
            report(typeof(TMessage), exception);
            throw;
        }
        finally
        {
            _turn.Release();
        }
    }

    private void Is(bool away)
    {
        lock (_gate)
        {
            _awaySince = away ? _awaySince ?? _time.GetTimestamp() : null;
        }
    }

    private sealed class StateObserver(ControlSubscription subscription) : IReceiveEndpointObserver
    {
        public Task Ready(ReceiveEndpointReady ready)
        {
            subscription.Is(away: false);
            subscription._connected.TrySetResult();
            return Task.CompletedTask;
        }

        public Task Stopping(ReceiveEndpointStopping stopping) => Task.CompletedTask;

        public Task Completed(ReceiveEndpointCompleted completed) => Lost();

        public Task Faulted(ReceiveEndpointFaulted faulted) => Lost();

        private Task Lost()
        {
            subscription.Is(away: true);
            return Task.CompletedTask;
        }
    }
}
