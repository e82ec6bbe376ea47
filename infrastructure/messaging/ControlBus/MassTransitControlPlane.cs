using MassTransit;
using Microsoft.Extensions.Logging;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>
/// The control plane over RabbitMQ. Every subscription has a durable queue of its own that a cut connection or a restarted
/// broker does not empty, and that expires when its process is gone. Messages are published with confirmation, and handled
/// at least once, one at a time, in the order in which one publisher awaited them. A handler that throws is tried again; then the message
/// goes to the error queue and the subscription goes on. Thread-safe.
/// </summary>
public sealed class MassTransitControlPlane : IControlPlane, IAsyncDisposable
{
    // By itself an endpoint is back a few seconds after the broker is, or never.
    private const int PatienceHeartbeats = 3;

    private readonly Lock _gate = new();
    private readonly HashSet<ControlSubscription> _subscriptions = [];
    private readonly TaskCompletionSource<ControlHandlerFailure> _firstFailure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IBusControl _bus;
    private readonly SubscriptionBuses _buses;
    private readonly ControlBusOptions _options;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly QueueRemoval _removal;
    private readonly StopLimit _stopLimit;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _watching;
    private Task _connected = Task.CompletedTask;
    private bool _disposed;

    private MassTransitControlPlane(IBusControl bus, ControlBusOptions options, ILoggerFactory loggers, TimeProvider time)
    {
        _bus = bus;
        _options = options;
        _logger = loggers.CreateLogger<MassTransitControlPlane>();
        _stopLimit = new StopLimit(options.StopTimeout, time, _logger);
        _buses = new SubscriptionBuses(bus, options, loggers, time, _stopLimit);
        _time = time;
        _removal = new QueueRemoval(options);
        _watching = Task.Run(() => WatchAsync(_stop.Token));
    }

    /// <summary>Completes with the first failure of a handler after its retries; never, where none fails.</summary>
    public Task<ControlHandlerFailure> FirstFailure => _firstFailure.Task;

    /// <summary>False while the connection to the broker is lost, and while a subscription is not yet back on it.</summary>
    public bool IsConnected => _buses.AreHealthy;

    /// <summary>Number of buses that carry subscriptions.</summary>
    internal int Buses => _buses.Count;

    /// <summary>The queues of the subscriptions that have not ended.</summary>
    internal string[] Queues
    {
        get
        {
            lock (_gate)
            {
                return [.. _subscriptions.Select(subscription => subscription.Queue)];
            }
        }
    }

    /// <summary>Connects to the broker.</summary>
    /// <param name="options">The settings; checked here.</param>
    /// <param name="loggers">Takes the logs of the plane and of the bus library.</param>
    /// <param name="time">The clock of the timeouts.</param>
    /// <param name="cancellationToken">Gives up connecting.</param>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">A setting is wrong.</exception>
    /// <exception cref="TimeoutException">The broker was not reached within <see cref="ControlBusOptions.StartTimeout"/>.</exception>
    public static async Task<MassTransitControlPlane> StartAsync(
        ControlBusOptions options, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        LogContext.ConfigureCurrentLogContext(loggers);
        var bus = BusFactory.Create(options);
        using var deadline = new Deadline(options.StartTimeout, time, cancellationToken);
        try
        {
            await bus.StartAsync(deadline.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (deadline.Passed)
        {
            throw new TimeoutException($"The broker at {options.Broker} was not reached within {options.StartTimeout}. Is it running, and are user and virtual host right?", exception);
        }

        return new MassTransitControlPlane(bus, options, loggers, time);
    }

    /// <inheritdoc/>
    /// <exception cref="ControlMessageTooLargeException">The message is larger than the broker takes.</exception>
    /// <exception cref="TimeoutException">The broker did not take it within <see cref="ControlBusOptions.PublishTimeout"/>.</exception>
    public async ValueTask PublishAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
        where TMessage : class
    {
        ArgumentNullException.ThrowIfNull(message);
        cancellationToken.ThrowIfCancellationRequested();
        Task connected;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            connected = _connected;
        }

        using var deadline = new Deadline(_options.PublishTimeout, _time, cancellationToken);
        try
        {
            // The answer must find the queues of whoever asks.
            await connected.WaitAsync(deadline.Token).ConfigureAwait(false);
            await PublishUntilTakenAsync(message, deadline.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (deadline.Passed)
        {
            throw new TimeoutException($"The broker at {_options.Broker} did not take a {typeof(TMessage).Name} within {_options.PublishTimeout}.", exception);
        }
        catch (Exception exception) when (cancellationToken.IsCancellationRequested && exception is not OperationCanceledException)
        {
            throw new OperationCanceledException("Publishing was cancelled while the broker was away.", exception, cancellationToken);
        }
    }

    private async Task PublishUntilTakenAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
        where TMessage : class
    {
        while (true)
        {
            try
            {
                await _bus.Publish(
                    message,
                    context =>
                    {
                        if (message is IAddressedMessage addressed)
                        {
                            context.SetRoutingKey(addressed.Address);
                        }
                    },
                    cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
            {
                // Nobody cancelled: the broker was silent for so long that the client gave up, which takes it long enough to need no further wait.
                _logger.LogWarning(exception, "The broker did not answer to a {Message}; it is published again", typeof(TMessage).Name);
            }
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The queue is declared in the background; this plane's <see cref="PublishAsync"/> waits for it, so whatever answers one
    /// of its messages finds the queue. What another process publishes on its own account in between is missed.
    /// </remarks>
    /// <exception cref="ObjectDisposedException">The plane is disposed.</exception>
    public IDisposable Subscribe<TMessage>(Func<TMessage, CancellationToken, ValueTask> handler, params IReadOnlyCollection<string> addresses)
        where TMessage : class
    {
        ArgumentNullException.ThrowIfNull(handler);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var rented = _buses.Rent();
            var subscription = ControlSubscription.Connect(rented.Bus, _options, _time, handler, addresses, Report, (ended, endpoint) => EndAsync(ended, endpoint, rented));
            _subscriptions.Add(subscription);
            _connected = Task.WhenAll(_connected, subscription.Connected);
            return subscription;
        }
    }

    /// <summary>Ends all subscriptions, removes their queues and disconnects. Not to be called from a handler.</summary>
    public async ValueTask DisposeAsync()
    {
        ControlSubscription[] all;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            all = [.. _subscriptions];
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await _watching.ConfigureAwait(false);
        _stop.Dispose();
        foreach (var subscription in all)
        {
            subscription.Dispose();
        }

        await Task.WhenAll(all.Select(subscription => subscription.Ended)).ConfigureAwait(false);
        await _buses.DisposeAsync().ConfigureAwait(false);
        await _stopLimit.WithinAsync("Disconnecting from the broker", _ => _removal.DisposeAsync().AsTask()).ConfigureAwait(false);
    }

    /// <summary>Looks after the subscriptions until the plane is disposed: one whose endpoint the bus library has given up gets another.</summary>
    private async Task WatchAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(_options.Heartbeat, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
            {
                ControlSubscription[] all;
                lock (_gate)
                {
                    all = [.. _subscriptions];
                }

                await Task.WhenAll(all.Select(ReplaceIfAwayAsync)).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Disposed.
        }
    }

    private async Task ReplaceIfAwayAsync(ControlSubscription subscription)
    {
        var patience = PatienceHeartbeats * _options.Heartbeat;
        try
        {
            if (await subscription.ReplaceIfAwayAsync(patience, endpoint => StopAsync(subscription, endpoint)).ConfigureAwait(false))
            {
                _logger.LogWarning("Nothing has read {Queue} for {Patience}; it is subscribed to anew", subscription.Queue, patience);
            }
        }
        catch (Exception exception)
        {
            // An endpoint that would not stop in time still has its name: the next round tries again.
            _logger.LogWarning(exception, "Nothing has read {Queue} for {Patience}, and it could not be subscribed to anew yet", subscription.Queue, patience);
        }
    }

    private async Task EndAsync(ControlSubscription subscription, HostReceiveEndpointHandle endpoint, SubscriptionBuses.Rented rented)
    {
        await StopAsync(subscription, endpoint).ConfigureAwait(false);
        await _stopLimit.WithinAsync($"Removing {subscription.Queue}", token => _removal.RemoveAsync(subscription.Queue, token)).ConfigureAwait(false);
        await _buses.ReturnAsync(rented).ConfigureAwait(false);
        lock (_gate)
        {
            _subscriptions.Remove(subscription);
        }
    }

    private Task StopAsync(ControlSubscription subscription, HostReceiveEndpointHandle endpoint) =>
        _stopLimit.WithinAsync($"Stopping {subscription.Queue}", token => endpoint.StopAsync(token));

    private void Report(Type type, Exception exception)
    {
        _logger.LogError(exception, "The handler of {MessageType} failed; the message goes to {ErrorQueue}", type.Name, _options.ErrorQueue);
        _firstFailure.TrySetResult(new ControlHandlerFailure(type, exception));
    }
}
