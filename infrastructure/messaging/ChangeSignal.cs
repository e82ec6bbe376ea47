namespace SplitFrozen.Messaging;

/// <summary>
/// Wakes everybody who waits for a change of some state. Not thread-safe by itself: take <see cref="Next"/> and call
/// <see cref="Raise"/> under the lock that guards the state; await outside of it.
/// </summary>
internal sealed class ChangeSignal
{
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes at the next change.</summary>
    public Task Next => _next.Task;

    public void Raise()
    {
        var raised = _next;
        _next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        raised.SetResult();
    }
}
