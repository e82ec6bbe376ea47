using System.Threading.Channels;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Planning;
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
    IControlPlane control,
    IActivationCache cache,
    IRunLedger ledger,
    StepPublication publication,
    Func<string, bool> queueIsEmpty,
    Action<object> report,
    TimeProvider time,
    ILogger logger)
{
    private const int KeysPerLookup = 1024;

    private readonly WorkAssigner _assigner = new(options);
    private readonly Dictionary<string, string> _lastRefusal = [];
    private readonly SortedDictionary<long, StepMessage> _held = [];
    private readonly HashSet<long> _toRepeat = [];
    private readonly Dictionary<long, int> _repeats = [];
    private StepSequencer? _sequencer;
    private DemandWindow? _window;
    private string? _trainerInstance;
    private long _handled;

    /// <summary>Looks up which samples are in the cache already; returns how many.</summary>
    public async Task<int> FindCachedAsync(CancellationToken cancellationToken)
    {
        await VerifyAsync([.. directory.Samples], cancellationToken).ConfigureAwait(false);
        return directory.Samples.Count(entry => entry.State == SampleState.Cached);
    }

    /// <summary>Handles events until the trainer has finished or the run has failed.</summary>
    /// <exception cref="CoordinatorException">The run cannot go on.</exception>
    public async Task RunAsync(ChannelReader<object> events, TrainerReady? trainer, CancellationToken cancellationToken)
    {
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
                _lastRefusal[refused.ClientId] = refused.Reason;
                _assigner.Moved(refused.ClientId, time.GetUtcNow());
                break;
            case WorkFinished finished:
                _assigner.Finished(finished.ClientId, finished.Sequence, time.GetUtcNow());
                break;
            case RecheckDue:
                Recheck();
                break;
            case OwedWork owed:
                Repeat(owed);
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
            case ActivationsMissing missing:
                Evicted(missing);
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
        foreach (var assignment in _assigner.TakeAssignments())
        {
            await control.PublishAsync(assignment, cancellationToken).ConfigureAwait(false);
        }

        while (_sequencer.Next < _handled + options.StepsAhead && _sequencer.TryCompose() is { } step)
        {
            _held.Add(step.Sequence, step);
            _window.Composed(step.Samples.Sum(sample => directory[sample.Id].Bytes));
            publication.Add(step);
        }

        foreach (var sequence in _toRepeat.Order().ToArray())
        {
            if (!_held.TryGetValue(sequence, out var step))
            {
                _toRepeat.Remove(sequence);
            }
            else if (Array.TrueForAll(step.Samples, sample => directory[sample.Id].State == SampleState.Cached))
            {
                _toRepeat.Remove(sequence);
                publication.Add(step);
            }
        }
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
            _assigner.Want(entry, position.Sequence, urgent: false);
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

        var recorded = new List<StepRecord>();
        if (options.Order == StepOrder.Available)
        {
            foreach (var bytes in await ledger.StepsFromAsync(options.RunId, trainer.NextSequence, cancellationToken).ConfigureAwait(false))
            {
                recorded.Add(StepRecord.TryRead(bytes) ?? throw new CoordinatorException(
                    $"Run '{options.RunId}': a step record in the ledger has {bytes.Length} bytes and cannot be read. Delete this run's ledger."));
            }
        }

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

    private void Ingested(SamplesIngested ingested)
    {
        _assigner.Moved(ingested.ClientId, time.GetUtcNow());
        foreach (var id in ingested.Samples)
        {
            var entry = directory[id];
            _assigner.Ingested(entry);
            _sequencer?.Ingested(entry);
        }
    }

    private void Handled(long sequence)
    {
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

    private void Evicted(ActivationsMissing missing)
    {
        var repeats = _repeats[missing.Sequence] = _repeats.GetValueOrDefault(missing.Sequence) + 1;
        if (repeats > options.MaximumRepeats)
        {
            throw new CoordinatorException(
                $"Run '{options.RunId}': step message {missing.Sequence} found activations gone from the cache {repeats} times. The cache is "
                + "too small for the run: raise cache.max_bytes, or lower training.batch_size.");
        }

        foreach (var sample in missing.Samples)
        {
            if (directory.TryGet(sample.Id, out var entry))
            {
                if (entry!.State == SampleState.Cached)
                {
                    entry.State = SampleState.Missing;
                }

                _assigner.Want(entry, missing.Sequence, urgent: true);
            }
        }

        _toRepeat.Add(missing.Sequence);
    }

    private void RepeatFrom(long from)
    {
        foreach (var step in _held.Values.Where(step => step.Sequence >= from))
        {
            publication.Add(step);
        }
    }

    private void Recheck()
    {
        foreach (var owed in _assigner.Owed(time.GetUtcNow()).Where(owed => queueIsEmpty(owed.ClientId)))
        {
            // Behind the events of messages that were taken in just now: only what is open after them is really lost.
            report(owed);
        }
    }

    private void Repeat(OwedWork owed)
    {
        if (_assigner.Repeat(owed) is { } failed)
        {
            var reason = _lastRefusal.TryGetValue(failed.Client.Id, out var refusal) ? $"the last message was refused: {refusal}" : "no message came";
            throw new CoordinatorException(
                $"Run '{options.RunId}': client '{failed.Client.Id}' was asked {failed.Attempts} times for sample {failed.Id}, and it never arrived; {reason}");
        }
    }

    private async Task RegisteredAgainAsync(ClientRegistered registration, CancellationToken cancellationToken)
    {
        var outcome = registry.Register(registration, out var reason);
        if (outcome == RegistrationOutcome.Restarted)
        {
            logger.LogInformation("Client {Client} was started anew; its open work is handed out again", registration.ClientId);
            _assigner.Restarted(registration.ClientId);
        }
        else if (outcome == RegistrationOutcome.Refused)
        {
            logger.LogWarning("Refused the registration of client {Client}: {Reason}", registration.ClientId, reason);
            await control.PublishAsync(new MessageRejected(options.RunId, registration.ClientId, reason!), cancellationToken).ConfigureAwait(false);
        }
    }
}
