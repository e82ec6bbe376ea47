using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging;

/// <summary>
/// The step queue of one run, first in first out. It has one receiver: a new one takes over, the one before it ends, and
/// what that one had not acknowledged is delivered again.
/// </summary>
internal sealed class StepQueue(string runId, int maximumWaiting)
{
    private readonly Lock _gate = new();
    private readonly MessageQueue _queue = MessageQueue.Steps(MessageQueue.InProcess, runId);
    private readonly PriorityQueue<Message, long> _ready = new();
    private readonly SortedDictionary<long, Message> _inHand = [];
    private readonly ChangeSignal _changed = new();
    private long _nextNumber;
    private long _receiver;
    private bool _gone;

    public async Task PublishAsync(StepMessage step, CancellationToken cancellationToken)
    {
        using var activity = MessagingTelemetry.StartPublish(_queue, messageId: null, bytes: 0);
        await EnqueueAsync(step, (activity ?? Activity.Current)?.Context ?? default, cancellationToken).ConfigureAwait(false);
        MessagingTelemetry.Published(activity, PublishOutcome.Confirmed);
    }

    private async Task EnqueueAsync(StepMessage step, ActivityContext publish, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Task change;
            lock (_gate)
            {
                if (_gone)
                {
                    throw new InvalidOperationException($"The step queue of run '{step.RunId}' was deleted.");
                }

                if (_ready.Count < maximumWaiting)
                {
                    _ready.Enqueue(new Message(_nextNumber, step, publish), _nextNumber);
                    _nextNumber++;
                    _changed.Raise();
                    return;
                }

                change = _changed.Next;
            }

            await change.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    public async IAsyncEnumerable<IStepDelivery> ReceiveAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var receiver = TakeOver();
        try
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (!TryTake(receiver, out var delivery, out var change))
                {
                    yield break;
                }

                if (delivery is not null)
                {
                    yield return delivery;
                }
                else
                {
                    await change.WaitAsync(cancellationToken).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            GiveBack(receiver);
        }
    }

    public void Delete()
    {
        lock (_gate)
        {
            _gone = true;
            _ready.Clear();
            _inHand.Clear();
            _changed.Raise();
        }
    }

    private long TakeOver()
    {
        lock (_gate)
        {
            Requeue();
            return ++_receiver;
        }
    }

    private void GiveBack(long receiver)
    {
        lock (_gate)
        {
            if (receiver == _receiver)
            {
                Requeue();
            }
        }
    }

    private void Requeue()
    {
        foreach (var message in _inHand.Values)
        {
            _ready.Enqueue(message, message.Number);
        }

        _inHand.Clear();
        _changed.Raise();
    }

    /// <summary>False when this receiver is no longer the one, or the queue is gone.</summary>
    private bool TryTake(long receiver, out IStepDelivery? delivery, out Task change)
    {
        lock (_gate)
        {
            delivery = null;
            change = _changed.Next;
            if (_gone || receiver != _receiver)
            {
                return false;
            }

            if (_ready.TryDequeue(out var message, out _))
            {
                _inHand.Add(message.Number, message);
                delivery = new Delivery(this, receiver, message);
                _changed.Raise();
            }

            return true;
        }
    }

    private void Acknowledge(long receiver, Message message)
    {
        lock (_gate)
        {
            // A receiver that was replaced settles nothing: its messages are in the hands of its successor.
            if (receiver == _receiver)
            {
                _inHand.Remove(message.Number);
            }
        }
    }

    private sealed record Message(long Number, StepMessage Step, ActivityContext Publish);

    private sealed class Delivery(StepQueue queue, long receiver, Message message) : IStepDelivery
    {
        public StepMessage Step => message.Step;

        public MessageTrace Trace => new(queue._queue, message.Number.ToString(CultureInfo.InvariantCulture), Bytes: 0, message.Publish);

        public ValueTask AcknowledgeAsync(CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            queue.Acknowledge(receiver, message);
            return ValueTask.CompletedTask;
        }
    }
}
