using SplitFrozen.Messaging;

namespace SplitFrozen.Trainer;

/// <summary>
/// Brings deliveries into the order of their sequence, each once, whatever the transport repeats or reorders, and keeps
/// them until they may be acknowledged. Thread-safe.
/// </summary>
/// <param name="start">The first sequence to hand out; everything before it is durable.</param>
/// <param name="window">Most deliveries held beyond the next one.</param>
internal sealed class StepInbox(long start, int window) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<long, IStepDelivery> _waiting = [];
    private readonly List<IStepDelivery> _handedOut = [];
    private readonly SemaphoreSlim _arrived = new(0);
    private long _next = start;
    private long _durable = start;
    private bool _awaitsRepeat;

    /// <summary>Deliveries handed out and not acknowledged.</summary>
    public int Unacknowledged
    {
        get
        {
            lock (_gate)
            {
                return _handedOut.Count;
            }
        }
    }

    /// <summary>The sequence that is handed out next.</summary>
    public long Next
    {
        get
        {
            lock (_gate)
            {
                return _next;
            }
        }
    }

    /// <summary>Takes a delivery in.</summary>
    /// <returns>The delivery to acknowledge now, because it or a newer copy of it is here or done; and whether a gap was opened by this one.</returns>
    /// <exception cref="TrainerException">The next step has not come and the window is full.</exception>
    public (IStepDelivery? Done, bool OpensGap) Accept(IStepDelivery delivery)
    {
        var sequence = delivery.Step.Sequence;
        lock (_gate)
        {
            if (sequence < _durable)
            {
                return (delivery, false);
            }

            if (sequence < _next)
            {
                _handedOut.Add(delivery);
                return (null, false);
            }

            if (sequence > _next && _waiting.Count >= window)
            {
                throw new TrainerException($"Step message {_next} has not come, but {_waiting.Count} later ones have. Resume the run: the trainer asks for its steps again.");
            }

            var opensGap = sequence > _next && _waiting.Count == 0 && !_awaitsRepeat;
            _waiting.Remove(sequence, out var older);
            _waiting.Add(sequence, delivery);
            _arrived.Release();
            return (older, opensGap);
        }
    }

    /// <summary>Waits for the next step in sequence; one caller at a time.</summary>
    public async Task<IStepDelivery> TakeAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (TryTake() is { } delivery)
            {
                return delivery;
            }

            await _arrived.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The next step in sequence, or null when it has not come.</summary>
    public IStepDelivery? TryTake()
    {
        lock (_gate)
        {
            if (!_waiting.Remove(_next, out var delivery))
            {
                return null;
            }

            _next++;
            _awaitsRepeat = false;
            _handedOut.Add(delivery);
            return delivery;
        }
    }

    /// <summary>The step last taken could not be prepared; a repeat of it is taken next.</summary>
    public void Return()
    {
        lock (_gate)
        {
            _next--;
            _awaitsRepeat = true;
        }
    }

    /// <summary>Everything before <paramref name="sequence"/> is durable; returns what may be acknowledged.</summary>
    public IReadOnlyList<IStepDelivery> MarkDurable(long sequence)
    {
        lock (_gate)
        {
            _durable = sequence;
            var done = _handedOut.FindAll(delivery => delivery.Step.Sequence < sequence);
            _handedOut.RemoveAll(delivery => delivery.Step.Sequence < sequence);
            return done;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _arrived.Dispose();
}
