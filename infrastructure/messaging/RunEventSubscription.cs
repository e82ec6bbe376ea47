using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging;

/// <summary>Listens to the control plane of a run and tells what happens as events: the one place that translates.</summary>
public sealed class RunEventSubscription : IDisposable
{
    private readonly List<IDisposable> _subscriptions = [];

    /// <summary>Listens until disposed.</summary>
    /// <param name="control">The control plane.</param>
    /// <param name="runId">The run; others are passed over.</param>
    /// <param name="time">The events' clock.</param>
    /// <param name="publish">Takes an event; may be called for different kinds at the same time.</param>
    public RunEventSubscription(IControlPlane control, string runId, TimeProvider time, Func<RunEvent, CancellationToken, ValueTask> publish)
    {
        On<RunPlanned>((m, now) => new RunPlannedEvent(
            now, m.TrainSamples, m.EvaluationSamples, m.CachedSamples, m.TotalSteps, m.SamplesPerClient));
        On<DeviceProgress>((m, now) => new DeviceProgressEvent(
            now, m.ClientId, m.Samples, m.Tokens, m.ForwardFlops, m.BytesPublished, m.ComputeTime.TotalSeconds));
        On<ActivationsIngested>((m, now) => new ActivationsIngestedEvent(now, m.ClientId, m.Samples, m.Bytes));
        On<StepApplied>((m, now) => new StepAppliedEvent(
            now, m.Epoch, m.Step, m.Loss, m.LearningRate, m.GradientNorm, m.Samples.Length, m.Tokens, m.ComputeTime.TotalSeconds, m.WaitTime.TotalSeconds));
        On<EvaluationFinished>((m, now) => new EvaluationEvent(now, m.EpochsTrained, m.Step, m.Metrics, m.Samples));
        On<CheckpointWritten>((m, now) => new CheckpointEvent(now, m.Sequence, m.Step));
        On<SamplesFailed>((m, now) => new SamplesFailedEvent(now, m.ClientId, m.Samples, m.FailedInRun, m.Reason));
        On<MessageRejected>((m, now) => new MessageRejectedEvent(now, m.ClientId, m.Reason, m.Messages));

        void On<TMessage>(Func<TMessage, DateTimeOffset, RunEvent> translate)
            where TMessage : class, IRunMessage
            => _subscriptions.Add(control.Subscribe<TMessage>((message, token) =>
                message.RunId == runId ? publish(translate(message, time.GetUtcNow()), token) : ValueTask.CompletedTask));
    }

    /// <inheritdoc/>
    public void Dispose() => _subscriptions.ForEach(subscription => subscription.Dispose());
}
