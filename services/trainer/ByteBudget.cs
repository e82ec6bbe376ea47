namespace SplitFrozen.Trainer;

/// <summary>Bounds bytes in flight: one taker waits until its share fits; a share larger than the whole is admitted alone. Thread-safe.</summary>
internal sealed class ByteBudget(long maximum)
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _returned = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _used;

    /// <summary>Takes a share as soon as it fits.</summary>
    public async Task TakeAsync(long bytes, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task change;
            lock (_gate)
            {
                if (_used == 0 || _used + bytes <= maximum)
                {
                    _used += bytes;
                    return;
                }

                change = _returned.Task;
            }

            await change.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Gives a share back.</summary>
    public void Return(long bytes)
    {
        TaskCompletionSource returned;
        lock (_gate)
        {
            _used -= bytes;
            returned = _returned;
            _returned = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        returned.SetResult();
    }
}
