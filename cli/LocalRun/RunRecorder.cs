using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>Listens to the control plane of a run and passes what happens to the observers, one event at a time.</summary>
internal sealed class RunRecorder : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Subscriptions _subscriptions = new();
    private readonly IReadOnlyList<IRunObserver> _observers;

    public RunRecorder(IControlPlane control, string runId, IReadOnlyList<IRunObserver> observers, TimeProvider time)
    {
        _observers = observers;
        _subscriptions.Add(new RunEventSubscription(control, runId, time, (runEvent, _) =>
        {
            Publish(runEvent);
            return ValueTask.CompletedTask;
        }));
        _subscriptions.Add(control.Subscribe<RunFinished>((_, _) =>
        {
            Finished = true;
            return ValueTask.CompletedTask;
        }));
        _subscriptions.Add(control.Subscribe<RunFailed>((failure, _) =>
        {
            Failure ??= failure.Reason;
            return ValueTask.CompletedTask;
        }));
    }

    /// <summary>True once the trainer has handled the last step.</summary>
    public bool Finished { get; private set; }

    /// <summary>Why a service gave the run up; null while none did.</summary>
    public string? Failure { get; private set; }

    /// <summary>Passes an event to the observers.</summary>
    public void Publish(RunEvent runEvent)
    {
        lock (_lock)
        {
            foreach (var observer in _observers)
            {
                observer.Observe(runEvent);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _subscriptions.Dispose();
}
