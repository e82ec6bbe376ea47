using SplitFrozen.Contracts.Planning;

namespace SplitFrozen.Coordinator;

/// <summary>
/// How far ahead of the trainer activations are asked for. It walks the plan position by position and stops where the
/// bytes between it and the trainer would exceed the bound, or a whole epoch lies between; one position is always admitted.
/// Not thread-safe.
/// </summary>
internal sealed class DemandWindow
{
    private readonly TrainingPlan _plan;
    private readonly long _bound;
    private readonly long _sequencesPerEpoch;
    private readonly long _trainerStart;
    private readonly List<long> _bytesUpTo = [0];
    private long _handled;
    private long _demandedBytes;

    /// <param name="plan">The plan.</param>
    /// <param name="bound">Most bytes ahead.</param>
    /// <param name="start">The first position to demand.</param>
    /// <param name="trainerStart">The trainer's position; later than <paramref name="start"/> when it stands inside an epoch of order available.</param>
    public DemandWindow(TrainingPlan plan, long bound, long start, long trainerStart)
    {
        _plan = plan;
        _bound = bound;
        _sequencesPerEpoch = plan.StepsPerEpoch + plan.EvaluationParts;
        _trainerStart = trainerStart;
        _handled = trainerStart;
        Next = start;
    }

    /// <summary>The next position to demand.</summary>
    public long Next { get; private set; }

    /// <summary>The next position, when it may be demanded now. The caller then reports what it really asks for by <see cref="Demanded"/>.</summary>
    public bool TryNext(out PlanPosition position)
    {
        position = default;
        var ahead = _demandedBytes - HandledBytes;
        if (Next >= _plan.SequenceCount || (ahead >= _bound && Next > _handled) || Next - _handled >= _sequencesPerEpoch)
        {
            return false;
        }

        position = _plan.At(Next++);
        return true;
    }

    /// <summary>Counts bytes that are asked for (or found in the cache) ahead of their use.</summary>
    public void Demanded(long bytes) => _demandedBytes += bytes;

    /// <summary>Notes the size of the next step message, in order of sequence from the trainer's start.</summary>
    public void Composed(long bytes) => _bytesUpTo.Add(_bytesUpTo[^1] + bytes);

    /// <summary>The trainer has handled all positions before <paramref name="sequence"/>.</summary>
    public void Handled(long sequence) => _handled = Math.Max(_handled, sequence);

    private long HandledBytes => _bytesUpTo[(int)Math.Min(_handled - _trainerStart, _bytesUpTo.Count - 1)];
}
