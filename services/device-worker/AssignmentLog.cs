using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.DeviceWorker;

/// <summary>
/// Which assignments a worker has in hand and which it has done, since the coordinator tells one again when it has heard nothing for a while. The
/// last thousand that are done are remembered. Thread-safe.
/// </summary>
internal sealed class AssignmentLog
{
    private const int Remembered = 1024;

    private readonly Lock _gate = new();
    private readonly HashSet<(string ClientId, long Sequence)> _inHand = [];
    private readonly HashSet<(string ClientId, long Sequence)> _finished = [];
    private readonly Queue<(string ClientId, long Sequence)> _order = new();

    /// <summary>Takes an assignment in hand.</summary>
    /// <returns>False for one that is in hand already.</returns>
    public bool TryTake(WorkAssigned assignment)
    {
        lock (_gate)
        {
            return _inHand.Add((assignment.ClientId, assignment.Sequence));
        }
    }

    /// <summary>Whether an assignment was done before it was taken in hand.</summary>
    public bool IsFinished(WorkAssigned assignment)
    {
        lock (_gate)
        {
            return _finished.Contains((assignment.ClientId, assignment.Sequence));
        }
    }

    /// <summary>An assignment is done, and the coordinator was told so.</summary>
    public void Finish(WorkFinished finished)
    {
        lock (_gate)
        {
            var key = (finished.ClientId, finished.Sequence);
            _inHand.Remove(key);
            if (!_finished.Add(key))
            {
                return;
            }

            _order.Enqueue(key);
            if (_order.Count > Remembered)
            {
                _finished.Remove(_order.Dequeue());
            }
        }
    }
}
