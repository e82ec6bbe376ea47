using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>The open queue of one client on the broker.</summary>
internal sealed class RabbitMqActivationSubscription(
    string clientId, QueueConsumer<byte[]> consumer, Func<string, ReadOnlyMemory<byte>, CancellationToken, Task> buryAsync) : IActivationSubscription
{
    public bool TryReceive(out IActivationDelivery? delivery)
    {
        delivery = consumer.TryTake(out var taken) ? new Delivery(this, taken!) : null;
        return delivery is not null;
    }

    public ValueTask<bool> WaitAsync(CancellationToken cancellationToken) => consumer.WaitAsync(cancellationToken);

    public ValueTask DisposeAsync() => consumer.DisposeAsync();

    private string ClientId => clientId;

    private Task BuryAsync(string reason, byte[] body, CancellationToken cancellationToken) => buryAsync(reason, body, cancellationToken);

    private sealed class Delivery(RabbitMqActivationSubscription subscription, QueueDelivery<byte[]> taken) : IActivationDelivery
    {
        public string ClientId => subscription.ClientId;

        public ReadOnlyMemory<byte> Body => taken.Value;

        public MessageTrace Trace => taken.Trace;

        public ValueTask AcknowledgeAsync(CancellationToken cancellationToken) => taken.AcknowledgeAsync(cancellationToken);

        public ValueTask RejectAsync(string reason, CancellationToken cancellationToken) =>
            taken.RejectAsync((body, token) => subscription.BuryAsync(reason, body, token), cancellationToken);
    }
}
