using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using System.Text.Json.Serialization;

namespace SplitFrozen.Contracts.Wire;

/// <summary>
/// Names one sample of a run, with a bit that tells held-out samples from training samples. Of a data set that all parts know, it is the row,
/// whichever device holds the sample; of a device's own data it is a hash, so that devices need not agree on numbers.
/// </summary>
public readonly record struct SampleId(long Value) : IComparable<SampleId>
{
    private const long EvaluationBit = 1L << 62;

    /// <summary>The id of a training row, counted from 0.</summary>
    public static SampleId Training(int row) => new(row);

    /// <summary>The id of a held-out row, counted from 0.</summary>
    public static SampleId Evaluation(int row) => new(EvaluationBit | (long)row);

    /// <summary>
    /// The id of a training row, counted from 0, of a device's own data: the upper 62 bits of XXH3 over the client's id in UTF-8, the row (<c>i32</c>)
    /// and the content (<c>u128</c>), both little-endian. A device whose data changed knows no id of what it held before. Among n samples two
    /// have the same id with a probability of n² / 2⁶³, one in ten million for a million samples; then the later client is refused.
    /// </summary>
    public static SampleId OfDevice(string clientId, int row, ContentDigest content)
    {
        var length = Encoding.UTF8.GetByteCount(clientId);
        var bytes = new byte[length + sizeof(int) + 16];
        Encoding.UTF8.GetBytes(clientId, bytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(length), row);
        BinaryPrimitives.WriteUInt128LittleEndian(bytes.AsSpan(length + sizeof(int)), content.Value);
        return new((long)(XxHash3.HashToUInt64(bytes) >> 2));
    }

    /// <summary>True for a sample of the held-out split, which is never trained on.</summary>
    public bool IsEvaluation => (Value & EvaluationBit) != 0;

    /// <summary>False for a number that no sample can have: it is negative, or the number of a held-out row is greater than 2³¹ − 1.</summary>
    public bool IsPossible => Value >= 0 && (!IsEvaluation || Number <= int.MaxValue);

    /// <summary>The row within its split, counted from 0.</summary>
    /// <exception cref="OverflowException">The id is that of a device's own data.</exception>
    [JsonIgnore]
    public int Row => checked((int)Number);

    private long Number => Value & ~EvaluationBit;

    /// <inheritdoc/>
    public int CompareTo(SampleId other) => Value.CompareTo(other.Value);

    /// <summary>Orders by value.</summary>
    public static bool operator <(SampleId left, SampleId right) => left.CompareTo(right) < 0;

    /// <summary>Orders by value.</summary>
    public static bool operator >(SampleId left, SampleId right) => left.CompareTo(right) > 0;

    /// <summary>Orders by value.</summary>
    public static bool operator <=(SampleId left, SampleId right) => left.CompareTo(right) <= 0;

    /// <summary>Orders by value.</summary>
    public static bool operator >=(SampleId left, SampleId right) => left.CompareTo(right) >= 0;

    /// <inheritdoc/>
    public override string ToString() => IsEvaluation ? $"eval:{Number}" : $"train:{Number}";
}
