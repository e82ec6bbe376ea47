using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Planning;

/// <summary>
/// The order of a run's work: a pure function of the sample ids, the seed and the sizes. Who holds which sample does not
/// enter. Epoch e is the permutation of the sorted training ids drawn by <c>SeededRandom.ForStream(seed, "plan", e)</c>,
/// cut into batches; the last batch of an epoch may be smaller. All held-out samples are evaluated, in id order, before
/// the first epoch and after each epoch, in messages of a bounded number of samples.
/// </summary>
/// <remarks>
/// Sequences: <c>[evaluation 0] [epoch 0] [evaluation 1] [epoch 1] … [evaluation E]</c>; an evaluation has
/// <see cref="EvaluationParts"/> messages and an epoch <see cref="StepsPerEpoch"/>. Not thread-safe: it keeps the last
/// permutations that it drew.
/// </remarks>
public sealed class TrainingPlan
{
    private readonly SampleId[] _training;
    private readonly SampleId[] _evaluation;
    private readonly ulong _seed;
    private readonly int _evaluationSamples;
    private readonly (int Epoch, SampleId[] Order)[] _permutations = [(-1, []), (-1, [])];

    /// <summary>Makes the plan.</summary>
    /// <param name="samples">All samples of the run, training and held-out, in any order, each once.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="epochs">Epochs, at least 1.</param>
    /// <param name="batchSize">Samples per step, at least 1.</param>
    /// <param name="evaluationSamples">Most samples of one evaluation message, at least 1.</param>
    /// <exception cref="ArgumentException">A sample is there twice, or none is a training sample.</exception>
    public TrainingPlan(IEnumerable<SampleId> samples, ulong seed, int epochs, int batchSize, int evaluationSamples)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(epochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(evaluationSamples, 1);
        var sorted = samples.Order().ToArray();
        for (var i = 1; i < sorted.Length; i++)
        {
            if (sorted[i] == sorted[i - 1])
            {
                throw new ArgumentException($"Sample {sorted[i]} is there twice.", nameof(samples));
            }
        }

        _training = [.. sorted.Where(id => !id.IsEvaluation)];
        _evaluation = [.. sorted.Where(id => id.IsEvaluation)];
        if (_training.Length == 0)
        {
            throw new ArgumentException("There is no training sample.", nameof(samples));
        }

        _seed = seed;
        _evaluationSamples = evaluationSamples;
        Epochs = epochs;
        BatchSize = batchSize;
    }

    /// <summary>Epochs of the run.</summary>
    public int Epochs { get; }

    /// <summary>Samples per step, but for the last one of an epoch.</summary>
    public int BatchSize { get; }

    /// <summary>Training samples.</summary>
    public int TrainingSamples => _training.Length;

    /// <summary>Held-out samples.</summary>
    public int HeldOutSamples => _evaluation.Length;

    /// <summary>Optimiser steps of one epoch.</summary>
    public int StepsPerEpoch => ((_training.Length - 1) / BatchSize) + 1;

    /// <summary>Optimiser steps of the run.</summary>
    public int TotalSteps => StepsPerEpoch * Epochs;

    /// <summary>Messages of one evaluation; 0 without held-out samples.</summary>
    public int EvaluationParts => (_evaluation.Length + _evaluationSamples - 1) / _evaluationSamples;

    /// <summary>Step messages of the run, training and evaluation.</summary>
    public long SequenceCount => EvaluationParts + ((long)Epochs * SequencesPerEpoch);

    private long SequencesPerEpoch => StepsPerEpoch + EvaluationParts;

    /// <summary>The order in which an epoch goes through the training samples. The caller does not change the array.</summary>
    public SampleId[] Permutation(int epoch)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(epoch);

        // Two are kept: while one epoch is composed, activations are asked for in the next.
        ref var kept = ref _permutations[epoch % 2];
        if (kept.Epoch != epoch)
        {
            SampleId[] order = [.. _training];
            SeededRandom.ForStream(_seed, "plan", (ulong)epoch).Shuffle<SampleId>(order);
            kept = (epoch, order);
        }

        return kept.Order;
    }

    /// <summary>What stands at a position of the sequence, without its samples.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="sequence"/> is not in <c>[0, SequenceCount)</c>.</exception>
    public PlanPosition At(long sequence)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sequence);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(sequence, SequenceCount);
        if (sequence < EvaluationParts)
        {
            return new PlanPosition(sequence, StepKind.Evaluate, 0, 0, (int)sequence);
        }

        var epoch = (int)((sequence - EvaluationParts) / SequencesPerEpoch);
        var within = (int)((sequence - EvaluationParts) % SequencesPerEpoch);
        return within < StepsPerEpoch
            ? new PlanPosition(sequence, StepKind.Train, epoch, (epoch * StepsPerEpoch) + within, within)
            : new PlanPosition(sequence, StepKind.Evaluate, epoch + 1, (epoch + 1) * StepsPerEpoch, within - StepsPerEpoch);
    }

    /// <summary>The first training sequence of an epoch.</summary>
    public long FirstSequenceOf(int epoch) => EvaluationParts + (epoch * SequencesPerEpoch);

    /// <summary>The samples of a position in planned order.</summary>
    public ReadOnlySpan<SampleId> Samples(PlanPosition position) => position.Kind == StepKind.Train
        ? Slice(Permutation(position.Epoch), position.Index, BatchSize)
        : Slice(_evaluation, position.Index, _evaluationSamples);

    /// <summary>True for the last training step of an epoch.</summary>
    public bool EndsEpoch(PlanPosition position) => position.Kind == StepKind.Train && position.Index == StepsPerEpoch - 1;

    private static ReadOnlySpan<SampleId> Slice(SampleId[] all, int index, int size)
    {
        var start = index * size;
        return all.AsSpan(start, Math.Min(size, all.Length - start));
    }
}

/// <summary>One position of the plan.</summary>
/// <param name="Sequence">Position among all step messages of the run, from 0.</param>
/// <param name="Kind">Train or evaluate.</param>
/// <param name="Epoch">Epoch from 0; for an evaluation, the number of epochs trained before it.</param>
/// <param name="Step">Optimiser steps before this position.</param>
/// <param name="Index">Which batch of the epoch, or which part of the evaluation, from 0.</param>
public readonly record struct PlanPosition(long Sequence, StepKind Kind, int Epoch, int Step, int Index);
