using System.Runtime.Serialization;
using System.Text.Json;
using MassTransit;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>One subscription: a receive endpoint with a queue of its own.</summary>
internal sealed class ControlSubscription : IDisposable
{
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Func<ControlSubscription, HostReceiveEndpointHandle, Task> _end;
    private HostReceiveEndpointHandle? _endpoint;
    private bool _disposed;

    private ControlSubscription(string queue, Func<ControlSubscription, HostReceiveEndpointHandle, Task> end)
    {
        Queue = queue;
        _end = end;
    }

    /// <summary>Name of its queue, unlike any other.</summary>
    public string Queue { get; }

    /// <summary>Completes when the queue is bound, or the subscription has ended before. Never faults: the library goes on trying.</summary>
    public Task Connected => _connected.Task;

    /// <summary>Completes when no handler runs any more and the queue is gone.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Starts to connect a subscription.</summary>
    public static ControlSubscription Connect<TMessage>(
        IBusControl bus, ControlBusOptions options, Func<TMessage, CancellationToken, ValueTask> handler, IReadOnlyCollection<string> addresses,
        Action<Type, Exception> report, Func<ControlSubscription, HostReceiveEndpointHandle, Task> end)
        where TMessage : class
    {
        var queue = $"splitfrozen.control.{options.ProcessName}.{Guid.NewGuid():N}.{typeof(TMessage).Name}";
        var subscription = new ControlSubscription(queue, end);
        subscription._endpoint = bus.ConnectReceiveEndpoint(queue, endpoint =>
        {
            DeclareQueue((IRabbitMqReceiveEndpointConfigurator)endpoint, options);
            Bind<TMessage>((IRabbitMqReceiveEndpointConfigurator)endpoint, addresses);
            endpoint.ConnectReceiveEndpointObserver(new ReadyObserver(subscription._connected));
            if (options.RetryCount > 0)
            {
                endpoint.UseMessageRetry(retry =>
                {
                    retry.Exponential(options.RetryCount, options.RetryInterval, options.RetryMaximumInterval, options.RetryInterval);
                    retry.Ignore(typeof(SerializationException), typeof(JsonException));
                });
            }

            endpoint.Handler<TMessage>(context => subscription.HandleAsync(context, handler, options.RetryCount, report));
        });
        return subscription;
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
            await _end(this, _endpoint!).ConfigureAwait(false);
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

    private async Task HandleAsync<TMessage>(
        ConsumeContext<TMessage> context, Func<TMessage, CancellationToken, ValueTask> handler, int retryCount, Action<Type, Exception> report)
        where TMessage : class
    {
        if (_stop.IsCancellationRequested)
        {
            return;
        }

        try
        {
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
    }

    private sealed class ReadyObserver(TaskCompletionSource connected) : IReceiveEndpointObserver
    {
        public Task Ready(ReceiveEndpointReady ready)
        {
            connected.TrySetResult();
            return Task.CompletedTask;
        }

        public Task Stopping(ReceiveEndpointStopping stopping) => Task.CompletedTask;

        public Task Completed(ReceiveEndpointCompleted completed) => Task.CompletedTask;

        public Task Faulted(ReceiveEndpointFaulted faulted) => Task.CompletedTask;
    }
}
