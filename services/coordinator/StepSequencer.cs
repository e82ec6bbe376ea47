using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Planning;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>
/// Makes the step messages of a run, in order of sequence, from the trainer's position on: by the plan, or from what is
/// ready. Steps that the ledger holds already are made again as they were. Not thread-safe.
/// </summary>
internal sealed class StepSequencer
{
    private readonly CoordinatorOptions _options;
    private readonly TrainingPlan _plan;
    private readonly SampleDirectory _directory;
    private readonly TrainerReady _trainer;
    private readonly Dictionary<long, SampleId[]> _recorded = [];
    private readonly SortedDictionary<int, EpochOfAvailable> _epochs = [];
    private SampleId[]? _held;

    /// <summary>Starts at the trainer's position.</summary>
    /// <param name="options">The run.</param>
    /// <param name="plan">Its plan.</param>
    /// <param name="directory">Its samples.</param>
    /// <param name="trainer">The trainer's position.</param>
    /// <param name="recorded">Order <c>available</c>: the steps that the ledger holds from that position on.</param>
    /// <exception cref="CoordinatorException">Position or ledger does not fit the run.</exception>
    public StepSequencer(
        CoordinatorOptions options, TrainingPlan plan, SampleDirectory directory, TrainerReady trainer, IReadOnlyList<StepRecord> recorded)
    {
        if (trainer.NextSequence < 0 || trainer.NextSequence > plan.SequenceCount)
        {
            throw new CoordinatorException(
                $"Run '{options.RunId}': the trainer's checkpoint stands at step message {trainer.NextSequence}, but the run has only "
                + $"{plan.SequenceCount}. Its data or settings have changed: start a run with another name, or delete its checkpoint.");
        }

        _options = options;
        _plan = plan;
        _directory = directory;
        _trainer = trainer;
        Next = trainer.NextSequence;
        foreach (var record in recorded)
        {
            CheckRecord(record);
            _recorded.Add(record.Sequence, record.Samples);
        }
    }

    /// <summary>The sequence of the next message.</summary>
    public long Next { get; private set; }

    /// <summary>
    /// Where demand starts: the trainer's position, or the beginning of its epoch in order <c>available</c>, where what is
    /// left of the epoch may lie anywhere in its permutation.
    /// </summary>
    public long DemandStart
    {
        get
        {
            if (_options.Order == StepOrder.Planned || Next >= _plan.SequenceCount)
            {
                return Next;
            }

            var position = _plan.At(Next);
            return position.Kind == StepKind.Train ? _plan.FirstSequenceOf(position.Epoch) : Next;
        }
    }

    /// <summary>The samples to ask for at a position of the plan: those that the trainer has not applied in that epoch and that have not failed.</summary>
    public IEnumerable<SampleEntry> Demand(PlanPosition position)
    {
        var samples = _plan.Samples(position).ToArray().Select(id => _directory[id]).Where(entry => entry.State != SampleState.Failed);
        if (position.Kind == StepKind.Evaluate || _options.Order == StepOrder.Planned)
        {
            return samples;
        }

        var epoch = Epoch(position.Epoch);
        return samples.Where(entry => !epoch.Applied.Contains(entry.Id));
    }

    /// <summary>A sample has been demanded for an epoch; when it is cached it is ready for that epoch.</summary>
    public void Demanded(PlanPosition position, SampleEntry entry)
    {
        if (position.Kind == StepKind.Train && _options.Order == StepOrder.Available)
        {
            var epoch = Epoch(position.Epoch);
            epoch.Demanded.Add(entry.Id);
            if (entry.State == SampleState.Cached)
            {
                epoch.Composer.MarkReady(entry.Id);
            }
        }
    }

    /// <summary>A sample's activations have come into the cache.</summary>
    public void Ingested(SampleEntry entry)
    {
        foreach (var epoch in _epochs.Values)
        {
            if (epoch.Demanded.Contains(entry.Id))
            {
                epoch.Composer.MarkReady(entry.Id);
            }
        }
    }

    /// <summary>The run goes on without a sample.</summary>
    public void Failed(SampleEntry entry)
    {
        foreach (var epoch in _epochs.Values)
        {
            epoch.Composer.Remove(entry.Id);
        }
    }

    /// <summary>Makes the next message when its samples are all there; null when not yet, or when the run has no more.</summary>
    public StepMessage? TryCompose()
    {
        if (Next >= _plan.SequenceCount)
        {
            return null;
        }

        var position = _plan.At(Next);
        _held ??= Choose(position);
        if (_held is null || !_directory.AllSettled(_held))
        {
            return null;
        }

        var samples = _held;
        _held = null;
        Next++;
        foreach (var passed in _epochs.Keys.Where(epoch => epoch < position.Epoch).ToArray())
        {
            _epochs.Remove(passed);
        }

        return new StepMessage(
            _options.RunId,
            _trainer.Instance,
            position.Sequence,
            _plan.SequenceCount,
            position.Kind,
            position.Epoch,
            position.Step,
            _plan.TotalSteps,
            position.Kind == StepKind.Train ? 0 : position.Index,
            position.Kind == StepKind.Train ? 1 : _plan.EvaluationParts,
            _plan.EndsEpoch(position),
            [.. samples.Select(id => _directory[id]).Where(entry => entry.State != SampleState.Failed).Select(_directory.Reference)]);
    }

    private SampleId[]? Choose(PlanPosition position)
    {
        if (_recorded.Remove(position.Sequence, out var recorded))
        {
            return recorded;
        }

        if (position.Kind == StepKind.Evaluate || _options.Order == StepOrder.Planned)
        {
            return _plan.Samples(position).ToArray();
        }

        // Where samples have failed, an epoch may run out before its last step: the number of steps is fixed.
        var composer = Epoch(position.Epoch).Composer;
        return composer.Remaining == 0 ? [] : composer.TryCompose();
    }

    private EpochOfAvailable Epoch(int epoch)
    {
        if (!_epochs.TryGetValue(epoch, out var state))
        {
            var applied = epoch == _trainer.Epoch ? _trainer.AppliedInEpoch.ToHashSet() : [];
            var composed = _recorded
                .Where(record => _plan.At(record.Key) is { Kind: StepKind.Train } position && position.Epoch == epoch)
                .SelectMany(record => record.Value)
                .Concat(applied)
                .Concat(_directory.Samples.Where(entry => entry.State == SampleState.Failed).Select(entry => entry.Id))
                .ToHashSet();
            var composer = new AvailableComposer(
                _plan.Permutation(epoch), id => _directory[id].Client.Id, _plan.BatchSize, composed);
            _epochs.Add(epoch, state = new EpochOfAvailable(composer, applied));
        }

        return state;
    }

    private void CheckRecord(StepRecord record)
    {
        if (record.Samples.Length > _plan.Samples(_plan.At(record.Sequence)).Length
            || !Array.TrueForAll(record.Samples, id => _directory.TryGet(id, out _)))
        {
            throw new CoordinatorException(
                $"Run '{_options.RunId}': the ledger's record of step message {record.Sequence} does not fit the run's data. "
                + "Its data or settings have changed: start a run with another name, or delete this run's ledger.");
        }
    }

    private sealed record EpochOfAvailable(AvailableComposer Composer, HashSet<SampleId> Applied)
    {
        public HashSet<SampleId> Demanded { get; } = [];
    }
}
