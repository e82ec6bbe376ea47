namespace SplitFrozen.Contracts.Wire;

/// <summary>
/// Names one sample of a run: its row in the data set, with a bit that tells held-out samples from training samples.
/// The id does not depend on which device holds the sample.
/// </summary>
public readonly record struct SampleId(long Value) : IComparable<SampleId>
{
    private const long EvaluationBit = 1L << 62;

    /// <summary>The id of a training row, counted from 0.</summary>
    public static SampleId Training(int row) => new(row);

    /// <summary>The id of a held-out row, counted from 0.</summary>
    public static SampleId Evaluation(int row) => new(EvaluationBit | (long)row);

    /// <summary>True for a sample of the held-out split, which is never trained on.</summary>
    public bool IsEvaluation => (Value & EvaluationBit) != 0;

    /// <summary>The row within its split, counted from 0.</summary>
    public int Row => (int)(Value & ~EvaluationBit);

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
    public override string ToString() => IsEvaluation ? $"eval:{Row}" : $"train:{Row}";
}
