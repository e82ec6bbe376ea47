namespace SplitFrozen.Messaging;

/// <summary>
/// Small messages between the services: registration, work, progress, run events. Every subscriber of a type gets every
/// message of that type, one at a time and in the order in which one publisher sent them.
/// </summary>
public interface IControlPlane
{
    /// <summary>Publishes a message to all subscribers of <typeparamref name="TMessage"/>.</summary>
    ValueTask PublishAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
        where TMessage : class;

    /// <summary>Handles messages of one type until the returned subscription is disposed.</summary>
    IDisposable Subscribe<TMessage>(Func<TMessage, CancellationToken, ValueTask> handler)
        where TMessage : class;
}
