using System.Collections.Immutable;
using System.Threading.Channels;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging;

/// <summary>
/// The control plane within one process. Every subscription has a bounded queue and a loop of its own: messages are handled
/// one at a time in the order sent, and a publisher waits while a subscriber is too far behind. A handler that throws loses
/// that one message; the failure is reported and the subscription goes on. Thread-safe.
/// </summary>
public sealed class InProcessControlPlane : IControlPlane, IAsyncDisposable
{
    private const int QueueLength = 4096;

    private readonly Lock _gate = new();
    private readonly Dictionary<Type, ImmutableArray<object>> _subscriptions = [];
    private readonly TaskCompletionSource<ControlHandlerFailure> _firstFailure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action<ControlHandlerFailure>? _onFailure;
    private bool _disposed;

    /// <summary>A control plane without subscribers.</summary>
    /// <param name="onFailure">Called on the subscription's loop for every message whose handler threw; must not throw.</param>
    public InProcessControlPlane(Action<ControlHandlerFailure>? onFailure = null) => _onFailure = onFailure;

    /// <summary>Completes with the first failure of a handler; never, where none fails.</summary>
    public Task<ControlHandlerFailure> FirstFailure => _firstFailure.Task;

    /// <inheritdoc/>
    public async ValueTask PublishAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
        where TMessage : class
    {
        ArgumentNullException.ThrowIfNull(message);
        ImmutableArray<object> subscriptions;
        lock (_gate)
        {
            subscriptions = _subscriptions.GetValueOrDefault(typeof(TMessage), []);
        }

        foreach (var subscription in subscriptions)
        {
            await ((Subscription<TMessage>)subscription).SendAsync(message, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The plane is disposed.</exception>
    public IDisposable Subscribe<TMessage>(Func<TMessage, CancellationToken, ValueTask> handler, params IReadOnlyCollection<string> addresses)
        where TMessage : class
    {
        ArgumentNullException.ThrowIfNull(handler);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var subscription = new Subscription<TMessage>(this, handler, addresses);
            _subscriptions[typeof(TMessage)] = _subscriptions.GetValueOrDefault(typeof(TMessage), []).Add(subscription);
            return subscription;
        }
    }

    /// <summary>Waits until the present subscribers have handled every message that was published before. Not to be called from a handler.</summary>
    public Task DrainAsync()
    {
        lock (_gate)
        {
            return Task.WhenAll(_subscriptions.Values.SelectMany(list => list).Cast<IStoppable>().Select(subscription => subscription.DrainAsync()).ToArray());
        }
    }

    /// <summary>Ends all subscriptions and waits for the handlers that are running. Not to be called from a handler.</summary>
    public async ValueTask DisposeAsync()
    {
        IStoppable[] all;
        lock (_gate)
        {
            _disposed = true;
            all = [.. _subscriptions.Values.SelectMany(list => list).Cast<IStoppable>()];
        }

        foreach (var subscription in all)
        {
            subscription.Dispose();
        }

        await Task.WhenAll(all.Select(subscription => subscription.Ended)).ConfigureAwait(false);
    }

    private void Remove(Type type, object subscription)
    {
        lock (_gate)
        {
            _subscriptions[type] = _subscriptions[type].Remove(subscription);
        }
    }

    private void Report(Type type, Exception exception)
    {
        var failure = new ControlHandlerFailure(type, exception);
        _firstFailure.TrySetResult(failure);
        _onFailure?.Invoke(failure);
    }

    private interface IStoppable : IDisposable
    {
        Task Ended { get; }

        Task DrainAsync();
    }

    private sealed class Subscription<TMessage> : IStoppable
        where TMessage : class
    {
        private readonly InProcessControlPlane _plane;
        private readonly Func<TMessage, CancellationToken, ValueTask> _handler;
        private readonly IReadOnlyCollection<string> _addresses;
        private readonly CancellationTokenSource _stop = new();

        // Messages, and completion sources that mark a place between them.
        private readonly Channel<object> _messages = Channel.CreateBounded<object>(new BoundedChannelOptions(QueueLength) { SingleReader = true });

        public Subscription(InProcessControlPlane plane, Func<TMessage, CancellationToken, ValueTask> handler, IReadOnlyCollection<string> addresses)
        {
            _addresses = addresses;
            _plane = plane;
            _handler = handler;
            Ended = Task.Run(HandleAsync);
        }

        public Task Ended { get; }

        public ValueTask SendAsync(TMessage message, CancellationToken cancellationToken) =>
            message is IAddressedMessage addressed && !_addresses.Contains(addressed.Address) ? ValueTask.CompletedTask : WriteAsync(message, cancellationToken);

        public async Task DrainAsync()
        {
            var passed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await WriteAsync(passed, CancellationToken.None).ConfigureAwait(false);
            await Task.WhenAny(passed.Task, Ended).ConfigureAwait(false);
        }

        private async ValueTask WriteAsync(object message, CancellationToken cancellationToken)
        {
            try
            {
                await _messages.Writer.WriteAsync(message, cancellationToken).ConfigureAwait(false);
            }
            catch (ChannelClosedException)
            {
                // The subscriber left while the publisher waited for it.
            }
        }

        public void Dispose()
        {
            _plane.Remove(typeof(TMessage), this);
            _stop.Cancel();
            _messages.Writer.TryComplete();
        }

        private async Task HandleAsync()
        {
            try
            {
                await foreach (var item in _messages.Reader.ReadAllAsync(_stop.Token).ConfigureAwait(false))
                {
                    if (item is TMessage message)
                    {
                        await HandleOneAsync(message).ConfigureAwait(false);
                    }
                    else
                    {
                        ((TaskCompletionSource)item).SetResult();
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // Disposed: what is left in the queue is nobody's.
            }
        }

        private async Task HandleOneAsync(TMessage message)
        {
            try
            {
                await _handler(message, _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                throw;
            }
            catch (Exception exception)
            {
                _plane.Report(typeof(TMessage), exception);
            }
        }
    }
}

/// <summary>A message's handler threw; the message is lost to that subscriber.</summary>
/// <param name="MessageType">Type of the message.</param>
/// <param name="Exception">What was thrown.</param>
public sealed record ControlHandlerFailure(Type MessageType, Exception Exception);
