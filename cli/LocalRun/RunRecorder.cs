using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>Listens to the control plane of a run and passes what happens to the observers, one event at a time.</summary>
internal sealed class RunRecorder : IDisposable
{
    private const string Fence = "(end of events)";

    private readonly Lock _lock = new();
    private readonly List<Func<Task>> _drains = [];
    private readonly Subscriptions _subscriptions = new();
    private readonly IReadOnlyList<IRunObserver> _observers;
    private readonly TimeProvider _time;

    public RunRecorder(IControlPlane control, string runId, IReadOnlyList<IRunObserver> observers, TimeProvider time)
    {
        (_observers, _time) = (observers, time);
        On(new RunPlanned(Fence, 0, 0, 0, 0, new Dictionary<string, int>()), (m, now) => new RunPlannedEvent(
            now, m.TrainSamples, m.EvaluationSamples, m.CachedSamples, m.TotalSteps, new SortedDictionary<string, int>(m.SamplesPerClient.ToDictionary(), NaturalOrder.Instance)));
        On(new DeviceProgress(Fence, "", 0, 0, 0, 0, TimeSpan.Zero), (m, now) => new DeviceProgressEvent(
            now, m.ClientId, m.Samples, m.Tokens, m.ForwardFlops, m.BytesPublished, m.ComputeTime.TotalSeconds));
        On(new ActivationsIngested(Fence, "", 0, 0), (m, now) => new ActivationsIngestedEvent(now, m.ClientId, m.Samples, m.Bytes));
        On(new StepApplied(Fence, 0, 0, 0, 0, 0, 0, [], 0, TimeSpan.Zero, TimeSpan.Zero), (m, now) => new StepAppliedEvent(
            now, m.Epoch, m.Step, m.Loss, m.LearningRate, m.GradientNorm, m.Samples.Length, m.Tokens, m.ComputeTime.TotalSeconds, m.WaitTime.TotalSeconds));
        On(new EvaluationFinished(Fence, 0, 0, 0, new Dictionary<string, double>(), 0), (m, now) => new EvaluationEvent(now, m.EpochsTrained, m.Step, m.Metrics, m.Samples));
        On(new CheckpointWritten(Fence, 0, 0), (m, now) => new CheckpointEvent(now, m.Sequence, m.Step));
        On(new MessageRejected(Fence, "", ""), (m, now) => new MessageRejectedEvent(now, m.ClientId, m.Reason));
        On(new RunFinished(Fence, 0), (_, _) =>
        {
            Finished = true;
            return null;
        });
        On(new RunFailed(Fence, ""), (m, _) =>
        {
            Failure ??= m.Reason;
            return null;
        });

        void On<TMessage>(TMessage fence, Func<TMessage, DateTimeOffset, RunEvent?> translate)
            where TMessage : class, IRunMessage
        {
            var passed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _drains.Add(async () =>
            {
                await control.PublishAsync(fence, CancellationToken.None).ConfigureAwait(false);
                await passed.Task.ConfigureAwait(false);
            });
            _subscriptions.Add(control.Subscribe<TMessage>((message, _) =>
            {
                if (ReferenceEquals(message, fence))
                {
                    passed.TrySetResult();
                }
                else if (message.RunId == runId && translate(message, _time.GetUtcNow()) is { } runEvent)
                {
                    Publish(runEvent);
                }

                return ValueTask.CompletedTask;
            }));
        }
    }

    /// <summary>True once the trainer has handled the last step.</summary>
    public bool Finished { get; private set; }

    /// <summary>Why a service gave the run up; null while none did.</summary>
    public string? Failure { get; private set; }

    /// <summary>
    /// Waits until everything published so far has reached the observers: a message of each type is sent after it, and the
    /// control plane keeps their order.
    /// </summary>
    public Task DrainAsync() => Task.WhenAll(_drains.Select(drain => drain()));

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
