using System.Diagnostics;
using System.Globalization;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging;

/// <summary>
/// The queue of one client: bounded in bytes, first in first out. A message in a subscriber's hands still counts; it goes
/// back to its place when the subscription ends before the message is settled.
/// </summary>
internal sealed class ActivationQueue(string runId, string clientId, long maximumBytes, DeadLetterBox deadLetters)
{
    private readonly Lock _gate = new();
    private readonly MessageQueue _queue = MessageQueue.Activations(MessageQueue.InProcess, runId, clientId);
    private readonly PriorityQueue<Message, long> _ready = new();
    private readonly ChangeSignal _changed = new();
    private long _nextNumber;
    private long _bytes;
    private bool _gone;

    public PublishOutcome Publish(ReadOnlyMemory<byte> body)
    {
        if (body.Length > maximumBytes)
        {
            throw new ArgumentException(
                $"A message of {body.Length} bytes can never enter the queue of client '{clientId}', which holds {maximumBytes}: make messages smaller or the queue larger.", nameof(body));
        }

        using var activity = MessagingTelemetry.StartPublish(_queue, messageId: null, body.Length);
        var outcome = Enqueue(body, (activity ?? Activity.Current)?.Context ?? default);
        MessagingTelemetry.Published(activity, outcome);
        return outcome;
    }

    public Subscription Subscribe(int prefetch) => new(this, prefetch);

    public void Delete()
    {
        lock (_gate)
        {
            _gone = true;
            _ready.Clear();
            MessagingTelemetry.QueueChanged(_queue, -_bytes);
            _bytes = 0;
            _changed.Raise();
        }
    }

    private PublishOutcome Enqueue(ReadOnlyMemory<byte> body, ActivityContext publish)
    {
        lock (_gate)
        {
            if (_bytes + body.Length > maximumBytes)
            {
                return PublishOutcome.QueueFull;
            }

            _bytes += body.Length;
            var message = new Message(_nextNumber++, body.ToArray(), publish);
            _ready.Enqueue(message, message.Number);
            MessagingTelemetry.QueueChanged(_queue, body.Length);
            _changed.Raise();
            return PublishOutcome.Confirmed;
        }
    }

    internal sealed record Message(long Number, byte[] Body, ActivityContext Publish);

    internal sealed class Subscription(ActivationQueue queue, int prefetch) : IActivationSubscription
    {
        private readonly Dictionary<long, Message> _inHand = [];
        private bool _disposed;

        public bool TryReceive(out IActivationDelivery? delivery)
        {
            lock (queue._gate)
            {
                if (!CanReceive)
                {
                    delivery = null;
                    return false;
                }

                var message = queue._ready.Dequeue();
                _inHand.Add(message.Number, message);
                delivery = new Delivery(this, message);
                return true;
            }
        }

        public async ValueTask<bool> WaitAsync(CancellationToken cancellationToken)
        {
            while (true)
            {
                Task change;
                lock (queue._gate)
                {
                    if (queue._gone || _disposed)
                    {
                        return false;
                    }

                    if (CanReceive)
                    {
                        return true;
                    }

                    change = queue._changed.Next;
                }

                await change.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }

        public ValueTask DisposeAsync()
        {
            lock (queue._gate)
            {
                _disposed = true;
                foreach (var message in _inHand.Values)
                {
                    queue._ready.Enqueue(message, message.Number);
                }

                _inHand.Clear();
                queue._changed.Raise();
            }

            return ValueTask.CompletedTask;
        }

        private bool CanReceive => !_disposed && !queue._gone && _inHand.Count < prefetch && queue._ready.Count > 0;

        /// <summary>Takes the message off the queue; false where it is settled already or was given back.</summary>
        private bool Settle(Message message)
        {
            lock (queue._gate)
            {
                if (!_inHand.Remove(message.Number))
                {
                    return false;
                }

                if (!queue._gone)
                {
                    queue._bytes -= message.Body.Length;
                    MessagingTelemetry.QueueChanged(queue._queue, -message.Body.Length);
                }

                queue._changed.Raise();
                return true;
            }
        }

        private sealed class Delivery(Subscription subscription, Message message) : IActivationDelivery
        {
            public string ClientId => subscription.Queue.ClientId;

            public ReadOnlyMemory<byte> Body => message.Body;

            public MessageTrace Trace => new(
                subscription.Queue._queue, message.Number.ToString(CultureInfo.InvariantCulture), message.Body.Length, message.Publish);

            public ValueTask AcknowledgeAsync(CancellationToken cancellationToken)
            {
                cancellationToken.ThrowIfCancellationRequested();
                subscription.Settle(message);
                return ValueTask.CompletedTask;
            }

            public ValueTask RejectAsync(string reason, CancellationToken cancellationToken)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (subscription.Settle(message))
                {
                    subscription.Queue.Bury(reason, message);
                }

                return ValueTask.CompletedTask;
            }
        }

        private ActivationQueue Queue => queue;
    }

    private string ClientId => clientId;

    private void Bury(string reason, Message message) => deadLetters.Add(new DeadLetter(runId, clientId, reason, message.Body));
}
