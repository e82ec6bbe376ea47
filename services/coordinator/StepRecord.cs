using System.Buffers.Binary;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Planning;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>
/// A composed step as the ledger keeps it: its position and sample ids; the rest of the message follows from the
/// registrations. Little-endian: <c>i64</c> sequence, then one <c>i64</c> per sample.
/// </summary>
internal readonly record struct StepRecord(long Sequence, SampleId[] Samples)
{
    /// <summary>
    /// Whether steps go on without a gap from a trainer's position, and hold no sample twice in an epoch, those included that the
    /// trainer has applied.
    /// </summary>
    public static bool GoOnFrom(TrainerReady trainer, IReadOnlyList<StepRecord> steps, TrainingPlan plan)
    {
        var trained = trainer.AppliedInEpoch.Select(id => (trainer.Epoch, id)).ToHashSet();
        for (var i = 0; i < steps.Count; i++)
        {
            if (steps[i].Sequence != trainer.NextSequence + i || steps[i].Sequence >= plan.SequenceCount)
            {
                return false;
            }

            var position = plan.At(steps[i].Sequence);
            if (position.Kind == StepKind.Train && !Array.TrueForAll(steps[i].Samples, id => trained.Add((position.Epoch, id))))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The bytes for the ledger.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[sizeof(long) * (1 + Samples.Length)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, Sequence);
        for (var i = 0; i < Samples.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(sizeof(long) * (1 + i)), Samples[i].Value);
        }

        return bytes;
    }

    /// <summary>Reads what <see cref="ToBytes"/> wrote; null when the length does not fit.</summary>
    public static StepRecord? TryRead(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < sizeof(long) || bytes.Length % sizeof(long) != 0)
        {
            return null;
        }

        var samples = new SampleId[(bytes.Length / sizeof(long)) - 1];
        for (var i = 0; i < samples.Length; i++)
        {
            samples[i] = new SampleId(BinaryPrimitives.ReadInt64LittleEndian(bytes[(sizeof(long) * (1 + i))..]));
        }

        return new StepRecord(BinaryPrimitives.ReadInt64LittleEndian(bytes), samples);
    }
}
