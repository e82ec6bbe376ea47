using System.Diagnostics;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Messaging;
using SplitFrozen.Training.Checkpoints;

namespace SplitFrozen.Trainer;

/// <summary>
/// The training loop: take the next prepared step, compute it, tell, and write a checkpoint when one is due. Checkpoints
/// stand between steps and never inside an evaluation, whose counts they do not hold.
/// </summary>
internal sealed class TrainingLoop
{
    private readonly TrainerOptions _options;
    private readonly FineTuningEngine _engine;
    private readonly StepPrefetch _prefetch;
    private readonly StepInbox _inbox;
    private readonly StepLog _log;
    private readonly IControlPlane _control;
    private readonly TimeProvider _time;
    private readonly HashSet<long> _appliedInEpoch;
    private readonly Lock _gate = new();
    private TrainingPosition _applied;
    private TrainingPosition _resumable;
    private long _durable;

    /// <summary>Stands at the checkpoint's position, or at the beginning.</summary>
    public TrainingLoop(
        TrainerOptions options, FineTuningEngine engine, StepPrefetch prefetch, StepInbox inbox, StepLog log, IControlPlane control, TimeProvider time, TrainingPosition? position)
    {
        (_options, _engine, _prefetch, _inbox, _log, _control, _time) = (options, engine, prefetch, inbox, log, control, time);
        _applied = _resumable = position ?? new TrainingPosition { Step = 0, SpecificationHash = options.RunId };
        _appliedInEpoch = [.. _applied.AppliedSamples];
        _durable = _applied.NextSequence;
    }

    /// <summary>The first sequence that is not handled yet, with the samples applied in its epoch so far. Thread-safe.</summary>
    public TrainingPosition Announced
    {
        get
        {
            lock (_gate)
            {
                return _applied with { AppliedSamples = _appliedInEpoch.Order().ToArray() };
            }
        }
    }

    /// <summary>Trains until the last step message, or until cancelled: then a checkpoint is written before it throws.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="OutdatedStepException">A step holds a sample that was trained in its epoch already; a checkpoint is written.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var waiting = _time.GetTimestamp();
                var step = await _prefetch.TakeAsync(cancellationToken).ConfigureAwait(false);
                var waited = _time.GetElapsedTime(waiting);
                using var activity = step.Activity;
                Activity.Current = activity;
                try
                {
                    await HandleAsync(step, waited).ConfigureAwait(false);
                }
                finally
                {
                    _prefetch.Release(step);
                }

                var isLast = step.Message.Sequence == step.Message.SequenceCount - 1;
                if (isLast || CheckpointIsDue(step.Message))
                {
                    await CheckpointAsync().ConfigureAwait(false);
                }

                if (isLast)
                {
                    await _control.PublishAsync(new RunFinished(_options.RunId, step.Message.TotalSteps), CancellationToken.None).ConfigureAwait(false);
                    return;
                }
            }
        }
        catch (Exception exception) when (exception is OutdatedStepException || (exception is OperationCanceledException && cancellationToken.IsCancellationRequested))
        {
            await CheckpointAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task HandleAsync(PreparedStep step, TimeSpan waited)
    {
        if (step.Message.Kind == StepKind.Train)
        {
            await TrainAsync(step, waited).ConfigureAwait(false);
        }
        else
        {
            await EvaluateAsync(step).ConfigureAwait(false);
        }
    }

    private async Task TrainAsync(PreparedStep step, TimeSpan waited)
    {
        var message = step.Message;
        CheckNew(message);
        var started = _time.GetTimestamp();
        var result = await _engine.TrainAsync(step).ConfigureAwait(false);
        var computed = _time.GetElapsedTime(started);
        TrainerTelemetry.Applied(step.Activity, message, result, computed, waited);
        _log.Append(message, result.Loss);
        lock (_gate)
        {
            if (message.Epoch != _applied.Epoch)
            {
                _appliedInEpoch.Clear();
            }

            _appliedInEpoch.UnionWith(message.Samples.Select(sample => sample.Id.Value));
            Stand(message, message.Step + 1, message.Epoch, resumable: true);
        }

        if (message.EndsEpoch)
        {
            _engine.DrawTimeline();
        }

        await _control.PublishAsync(
            new StepApplied(
                _options.RunId, message.Sequence, message.Epoch, message.Step, result.Loss, result.LearningRate, result.GradientNorm,
                Array.ConvertAll(message.Samples, sample => sample.Id), result.Tokens, computed, waited),
            CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>
    /// Whatever the coordinator has forgotten, no sample trains twice in an epoch: the single writer itself looks. With a ledger that
    /// is whole it never finds anything.
    /// </summary>
    private void CheckNew(StepMessage message)
    {
        if (message.Epoch == _applied.Epoch && Array.Find(message.Samples, sample => _appliedInEpoch.Contains(sample.Id.Value)) is { CacheKey: not null } again)
        {
            throw new OutdatedStepException(
                $"Step message {message.Sequence} holds sample {again.Id}, which was trained in epoch {message.Epoch} already: it was composed from another position.");
        }
    }

    private async Task EvaluateAsync(PreparedStep step)
    {
        var message = step.Message;
        using var span = TrainerTelemetry.StartPart(SpanNames.Evaluate);
        var finished = await _engine.EvaluateAsync(step).ConfigureAwait(false);
        lock (_gate)
        {
            Stand(message, message.Step, _applied.Epoch, resumable: finished is not null);
        }

        await _control.PublishAsync(
            new EvaluationPartFinished(_options.RunId, message.Sequence, message.Epoch, message.Part, message.Parts, message.Samples.Length),
            CancellationToken.None).ConfigureAwait(false);
        if (finished is { Samples: > 0 })
        {
            await _control.PublishAsync(
                new EvaluationFinished(_options.RunId, message.Sequence, message.Epoch, message.Step, finished.Metrics(), (int)finished.Samples),
                CancellationToken.None).ConfigureAwait(false);
        }
    }

    private void Stand(StepMessage message, int step, int epoch, bool resumable)
    {
        _applied = _applied with { Step = step, NextSequence = message.Sequence + 1, Epoch = epoch, AppliedSamples = [] };
        if (resumable)
        {
            _resumable = _applied;
        }
    }

    private bool CheckpointIsDue(StepMessage message) =>
        (message.Kind == StepKind.Train && (message.EndsEpoch || (message.Step + 1) % _options.Spec.Training.CheckpointEverySteps == 0))
        || _inbox.Unacknowledged >= _options.UnacknowledgedSteps;

    private async Task CheckpointAsync()
    {
        if (_resumable.NextSequence == _durable)
        {
            return;
        }

        // Nothing was trained on since, only evaluated: the list is the one of that position.
        var position = _resumable with { AppliedSamples = _appliedInEpoch.Order().ToArray() };
        using var span = TrainerTelemetry.StartPart(SpanNames.Checkpoint);
        var started = _time.GetTimestamp();
        _log.Flush();
        await _engine.WriteAsync(position).ConfigureAwait(false);
        TrainerTelemetry.CheckpointWritten(_options.RunId, _time.GetElapsedTime(started));
        _durable = position.NextSequence;
        foreach (var delivery in _inbox.MarkDurable(_durable))
        {
            await delivery.AcknowledgeAsync(CancellationToken.None).ConfigureAwait(false);
        }

        await _control.PublishAsync(new CheckpointWritten(_options.RunId, _durable - 1, (int)position.Step), CancellationToken.None).ConfigureAwait(false);
    }
}
