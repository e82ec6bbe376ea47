using System.Diagnostics;
using System.Threading.Channels;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Planning;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator;

/// <summary>It is time to look for work that was finished but never arrived.</summary>
internal sealed record RecheckDue;

/// <summary>
/// A run after all its clients have registered: asks devices for what is missing, composes steps from what is there, and
/// keeps what the trainer may still need repeated. One event at a time; every decision is made here.
/// </summary>
internal sealed class RunFlow(
    CoordinatorOptions options,
    ClientRegistry registry,
    SampleDirectory directory,
    TrainingPlan plan,
    WorkAssigner assigner,
    MissingSamples missing,
    IControlPlane control,
    IActivationCache cache,
    IRunLedger ledger,
    StepPublication publication,
    Func<string, bool> queueIsEmpty,
    Refusals refusals,
    Action<object> report,
    TimeProvider time,
    ILogger logger)
{
    private const int KeysPerLookup = 1024;

    private readonly SortedDictionary<long, StepMessage> _held = [];
    private readonly HashSet<long> _toRepeat = [];
    private readonly Dictionary<long, int> _repeats = [];
    private readonly BatchTraces _batches = new();
    private StepSequencer? _sequencer;
    private DemandWindow? _window;
    private string? _trainerInstance;
    private long _handled;

    /// <summary>Looks up which samples have failed and which are in the cache already; returns how many of the latter.</summary>
    public async Task<int> FindCachedAsync(CancellationToken cancellationToken)
    {
        foreach (var id in await ledger.FailedAsync(options.RunId, cancellationToken).ConfigureAwait(false))
        {
            if (directory.TryGet(new SampleId(id), out var failed))
            {
                failed!.State = SampleState.Failed;
            }
        }

        await VerifyAsync([.. directory.Samples.Where(entry => entry.State != SampleState.Failed)], cancellationToken).ConfigureAwait(false);
        return directory.Samples.Count(entry => entry.State == SampleState.Cached);
    }

    /// <summary>Handles events until the trainer has finished or the run has failed.</summary>
    /// <exception cref="CoordinatorException">The run cannot go on.</exception>
    public async Task RunAsync(ChannelReader<object> events, TrainerReady? trainer, CancellationToken cancellationToken)
    {
        foreach (var client in registry.Present)
        {
            assigner.Present(client);
        }

        if (trainer is not null)
        {
            await StartFromAsync(trainer, cancellationToken).ConfigureAwait(false);
        }

        await AdvanceAsync(cancellationToken).ConfigureAwait(false);
        await foreach (var message in events.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            if (message is RunFinished)
            {
                return;
            }

            if (message is RunFailed failure)
            {
                logger.LogError("Run {Run} failed elsewhere: {Reason}", options.RunId, failure.Reason);
                return;
            }

            await HandleAsync(message, cancellationToken).ConfigureAwait(false);
            await AdvanceAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task HandleAsync(object message, CancellationToken cancellationToken)
    {
        switch (message)
        {
            case SamplesIngested ingested:
                Ingested(ingested);
                break;
            case DeliveryRefused refused:
                missing.Refused(refused.ClientId, refused.Reason);
                assigner.Moved(refused.ClientId, time.GetUtcNow());
                break;
            case WorkFinished finished:
                assigner.Finished(finished.ClientId, finished.Sequence, time.GetUtcNow());
                break;
            case RecheckDue:
                await RecheckAsync(cancellationToken).ConfigureAwait(false);
                Failed(await missing.GiveUpAsync(cancellationToken).ConfigureAwait(false));
                break;
            case OwedWork owed:
                await RepeatAsync(owed, cancellationToken).ConfigureAwait(false);
                break;
            case StepApplied applied:
                Handled(applied.Sequence);
                break;
            case EvaluationPartFinished evaluated:
                Handled(evaluated.Sequence);
                break;
            case CheckpointWritten checkpoint:
                Forget(checkpoint.Sequence);
                break;
            case ActivationsMissing evicted:
                Evicted(evicted);
                break;
            case StepsRequested requested:
                RepeatFrom(requested.FromSequence);
                break;
            case TrainerReady trainer:
                await StartFromAsync(trainer, cancellationToken).ConfigureAwait(false);
                break;
            case ClientRegistered registration:
                await RegisteredAgainAsync(registration, cancellationToken).ConfigureAwait(false);
                break;
            default:
                break;
        }
    }

    /// <summary>Does everything that can be done now: ask, assign, compose, repeat.</summary>
    private async Task AdvanceAsync(CancellationToken cancellationToken)
    {
        if (_sequencer is null || _window is null)
        {
            return;
        }

        await DemandAsync(_sequencer, _window, cancellationToken).ConfigureAwait(false);
        foreach (var assignment in assigner.TakeAssignments())
        {
            await control.PublishAsync(assignment, cancellationToken).ConfigureAwait(false);
        }

        while (_sequencer.Next < _handled + options.StepsAhead && _sequencer.TryCompose() is { } step)
        {
            _held.Add(step.Sequence, step);
            _window.Composed(step.Samples.Sum(sample => directory[sample.Id].Bytes));
            Publish(step, repeated: false);
        }

        foreach (var sequence in _toRepeat.Order().ToArray())
        {
            if (!_held.TryGetValue(sequence, out var step))
            {
                _toRepeat.Remove(sequence);
            }
            else if (directory.AllSettled(Array.ConvertAll(step.Samples, sample => sample.Id)))
            {
                _toRepeat.Remove(sequence);
                Publish(_held[sequence] = step with { Samples = Array.FindAll(step.Samples, sample => directory[sample.Id].State != SampleState.Failed) }, repeated: true);
            }
        }
    }

    private void Publish(StepMessage step, bool repeated)
    {
        var activity = CoordinatorTelemetry.StartStep(step, _batches, repeated);
        logger.LogDebug("Run {Run}: step message {Sequence} is composed of {Samples} samples", options.RunId, step.Sequence, step.Samples.Length);

        // Whoever publishes it goes on with its span; the event loop belongs to none.
        Activity.Current = null;
        publication.Add(step, activity);
    }

    private async Task DemandAsync(StepSequencer sequencer, DemandWindow window, CancellationToken cancellationToken)
    {
        var demanded = new List<(PlanPosition Position, SampleEntry Entry)>();
        while (window.TryNext(out var position))
        {
            foreach (var entry in sequencer.Demand(position))
            {
                window.Demanded(entry.Bytes);
                demanded.Add((position, entry));
            }
        }

        // What was cached some time ago may have been evicted since; better to know before the trainer waits for it.
        await VerifyAsync([.. demanded.Select(item => item.Entry).Where(entry => entry.State == SampleState.Cached)], cancellationToken).ConfigureAwait(false);
        foreach (var (position, entry) in demanded)
        {
            assigner.Want(entry, position.Sequence, urgent: false);
            sequencer.Demanded(position, entry);
        }
    }

    private async Task VerifyAsync(SampleEntry[] entries, CancellationToken cancellationToken)
    {
        foreach (var part in entries.Chunk(KeysPerLookup))
        {
            var there = await cache.ContainsAsync(Array.ConvertAll(part, directory.Key), cancellationToken).ConfigureAwait(false);
            for (var i = 0; i < part.Length; i++)
            {
                part[i].State = there[i] ? SampleState.Cached : SampleState.Missing;
            }
        }
    }

    private async Task StartFromAsync(TrainerReady trainer, CancellationToken cancellationToken)
    {
        if (trainer.Instance == _trainerInstance)
        {
            return;
        }

        var recorded = options.Order == StepOrder.Available ? await RecordedAsync(trainer, cancellationToken).ConfigureAwait(false) : [];
        _sequencer = new StepSequencer(options, plan, directory, trainer, recorded);
        _window = new DemandWindow(plan, options.WorkAheadBytes, _sequencer.DemandStart, trainer.NextSequence);
        _trainerInstance = trainer.Instance;
        _handled = trainer.NextSequence;
        _held.Clear();
        _toRepeat.Clear();
        logger.LogInformation("Run {Run}: the trainer stands at step message {Sequence} of {Count}", options.RunId, _handled, plan.SequenceCount);
        if (trainer.NextSequence == plan.SequenceCount)
        {
            await control.PublishAsync(new RunFinished(options.RunId, plan.TotalSteps), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The steps of order <c>available</c> that are composed already and that the trainer has not handled.</summary>
    private async Task<List<StepRecord>> RecordedAsync(TrainerReady trainer, CancellationToken cancellationToken)
    {
        var recorded = new List<StepRecord>();
        foreach (var bytes in await ledger.StepsFromAsync(options.RunId, trainer.NextSequence, cancellationToken).ConfigureAwait(false))
        {
            recorded.Add(StepRecord.TryRead(bytes) ?? throw new CoordinatorException(
                $"Run '{options.RunId}': a step record in the ledger has {bytes.Length} bytes and cannot be read. Delete this run's ledger."));
        }

        if (!StepRecord.GoOnFrom(trainer, recorded, plan))
        {
            // The ledger has lost a part. Nothing that was composed is still valid, and the trainer, which knows what it has trained, takes none of it.
            logger.LogWarning("Run {Run}: the ledger's steps do not go on from the trainer's position; they are composed anew", options.RunId);
            await ledger.ForgetStepsAsync(options.RunId, trainer.NextSequence, cancellationToken).ConfigureAwait(false);
            recorded.Clear();
        }

        return recorded;
    }

    private void Ingested(SamplesIngested ingested)
    {
        missing.Progressed();
        assigner.Moved(ingested.ClientId, time.GetUtcNow());
        _batches.Remember(ingested.Samples, ingested.Batch);
        foreach (var entry in ingested.Samples.Select(id => directory[id]).Where(entry => entry.State != SampleState.Failed))
        {
            assigner.Ingested(entry);
            _sequencer?.Ingested(entry);
        }
    }

    private void Handled(long sequence)
    {
        missing.Progressed();
        _handled = Math.Max(_handled, sequence + 1);
        _window?.Handled(_handled);
    }

    private void Forget(long sequence)
    {
        foreach (var durable in _held.Keys.TakeWhile(held => held <= sequence).ToArray())
        {
            _held.Remove(durable);
            _repeats.Remove(durable);
        }
    }

    private void Evicted(ActivationsMissing evicted)
    {
        var repeats = _repeats[evicted.Sequence] = _repeats.GetValueOrDefault(evicted.Sequence) + 1;
        if (repeats > options.MaximumRepeats)
        {
            throw new CoordinatorException(
                $"Run '{options.RunId}': step message {evicted.Sequence} found activations gone from the cache {repeats} times. The cache is "
                + "too small for the run: raise cache.max_bytes, or lower training.batch_size.");
        }

        foreach (var sample in evicted.Samples)
        {
            if (directory.TryGet(sample.Id, out var entry))
            {
                if (entry!.State == SampleState.Cached)
                {
                    entry.State = SampleState.Missing;
                }

                assigner.Want(entry, evicted.Sequence, urgent: true);
            }
        }

        _toRepeat.Add(evicted.Sequence);
    }

    private void RepeatFrom(long from)
    {
        foreach (var step in _held.Values.Where(step => step.Sequence >= from))
        {
            Publish(step, repeated: true);
        }
    }

    private async Task RecheckAsync(CancellationToken cancellationToken)
    {
        foreach (var reminder in assigner.Reminders(time.GetUtcNow()))
        {
            await control.PublishAsync(reminder, cancellationToken).ConfigureAwait(false);
        }

        foreach (var owed in assigner.Owed(time.GetUtcNow()).Where(owed => queueIsEmpty(owed.ClientId)))
        {
            // Behind the events of messages that were taken in just now: only what is open after them is really lost.
            report(owed);
        }
    }

    private async Task RepeatAsync(OwedWork owed, CancellationToken cancellationToken)
    {
        var hopeless = assigner.Repeat(owed);
        foreach (var entry in hopeless)
        {
            await missing.GiveUpAsync(entry, cancellationToken).ConfigureAwait(false);
        }

        Failed(hopeless);
    }

    private void Failed(IReadOnlyList<SampleEntry> entries)
    {
        foreach (var entry in entries)
        {
            _sequencer?.Failed(entry);
        }
    }

    private async Task RegisteredAgainAsync(ClientRegistered registration, CancellationToken cancellationToken)
    {
        var outcome = registry.Register(registration, out var reason);
        if (outcome != RegistrationOutcome.Refused)
        {
            missing.Welcome(registration.ClientId);
            assigner.Present(registration.ClientId);
        }

        if (outcome == RegistrationOutcome.Restarted)
        {
            logger.LogInformation("Client {Client} was started anew; its open work is handed out again", registration.ClientId);
            assigner.Restarted(registration.ClientId);
        }
        else if (outcome == RegistrationOutcome.Refused)
        {
            missing.Unwelcome(registration.ClientId, reason!);
            assigner.Refused(registration.ClientId);
            await refusals.TellAsync(registration.ClientId, "the registration", reason!, cancellationToken).ConfigureAwait(false);
        }
    }
}
