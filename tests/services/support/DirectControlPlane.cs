using SplitFrozen.Messaging;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A control plane on which every subscriber has handled a message when its publication returns.</summary>
internal sealed class DirectControlPlane : IControlPlane
{
    private readonly Lock _gate = new();
    private readonly List<Delegate> _handlers = [];

    public async ValueTask PublishAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
        where TMessage : class
    {
        Delegate[] handlers;
        lock (_gate)
        {
            handlers = [.. _handlers];
        }

        foreach (var handler in handlers.OfType<Func<TMessage, CancellationToken, ValueTask>>())
        {
            await handler(message, cancellationToken);
        }
    }

    public IDisposable Subscribe<TMessage>(Func<TMessage, CancellationToken, ValueTask> handler, params IReadOnlyCollection<string> addresses)
        where TMessage : class
    {
        lock (_gate)
        {
            _handlers.Add(handler);
        }

        return new Subscription(() =>
        {
            lock (_gate)
            {
                _handlers.Remove(handler);
            }
        });
    }

    private sealed class Subscription(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}
