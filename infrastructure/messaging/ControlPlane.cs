using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging;

/// <summary>
/// Small messages between the services: registration, work, progress, run events. Every subscriber of a type gets every
/// message of that type, one at a time and in the order in which one publisher sent them; an
/// <see cref="IAddressedMessage"/> only where it subscribed under its address.
/// </summary>
public interface IControlPlane
{
    /// <summary>Publishes a message to all subscribers of <typeparamref name="TMessage"/>.</summary>
    ValueTask PublishAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
        where TMessage : class;

    /// <summary>
    /// Handles messages of one type until the returned subscription is disposed. What is published after this call returned
    /// reaches the handler, whoever publishes it.
    /// </summary>
    /// <param name="handler">Handles one message.</param>
    /// <param name="addresses">For an <see cref="IAddressedMessage"/>: the addresses that this subscriber has. Not used for others.</param>
    IDisposable Subscribe<TMessage>(Func<TMessage, CancellationToken, ValueTask> handler, params IReadOnlyCollection<string> addresses)
        where TMessage : class;
}
