using System.Buffers.Binary;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>
/// A composed step as the ledger keeps it: its position and sample ids; the rest of the message follows from the
/// registrations. Little-endian: <c>i64</c> sequence, then one <c>i64</c> per sample.
/// </summary>
internal readonly record struct StepRecord(long Sequence, SampleId[] Samples)
{
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
