using SplitFrozen.Cli.Events;
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
    private readonly TimeProvider _time;

    public RunRecorder(IControlPlane control, string runId, IReadOnlyList<IRunObserver> observers, TimeProvider time)
    {
        (_observers, _time) = (observers, time);
        On<RunPlanned>((m, now) => new RunPlannedEvent(
            now, m.TrainSamples, m.EvaluationSamples, m.CachedSamples, m.TotalSteps, new SortedDictionary<string, int>(m.SamplesPerClient.ToDictionary(), NaturalOrder.Instance)));
        On<DeviceProgress>((m, now) => new DeviceProgressEvent(
            now, m.ClientId, m.Samples, m.Tokens, m.ForwardFlops, m.BytesPublished, m.ComputeTime.TotalSeconds));
        On<ActivationsIngested>((m, now) => new ActivationsIngestedEvent(now, m.ClientId, m.Samples, m.Bytes));
        On<StepApplied>((m, now) => new StepAppliedEvent(
            now, m.Epoch, m.Step, m.Loss, m.LearningRate, m.GradientNorm, m.Samples.Length, m.Tokens, m.ComputeTime.TotalSeconds, m.WaitTime.TotalSeconds));
        On<EvaluationFinished>((m, now) => new EvaluationEvent(now, m.EpochsTrained, m.Step, m.Metrics, m.Samples));
        On<CheckpointWritten>((m, now) => new CheckpointEvent(now, m.Sequence, m.Step));
        On<MessageRejected>((m, now) => new MessageRejectedEvent(now, m.ClientId, m.Reason));
        On<RunFinished>((_, _) =>
        {
            Finished = true;
            return null;
        });
        On<RunFailed>((m, _) =>
        {
            Failure ??= m.Reason;
            return null;
        });

        void On<TMessage>(Func<TMessage, DateTimeOffset, RunEvent?> translate)
            where TMessage : class, IRunMessage
            => _subscriptions.Add(control.Subscribe<TMessage>((message, _) =>
            {
                if (message.RunId == runId && translate(message, _time.GetUtcNow()) is { } runEvent)
                {
                    Publish(runEvent);
                }

                return ValueTask.CompletedTask;
            }));
    }

    /// <summary>True once the trainer has handled the last step.</summary>
    public bool Finished { get; private set; }

    /// <summary>Why a service gave the run up; null while none did.</summary>
    public string? Failure { get; private set; }

    /// <summary>Passes an event of the command itself to the observers.</summary>
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
