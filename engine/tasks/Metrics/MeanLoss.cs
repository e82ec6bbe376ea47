namespace SplitFrozen.Tasks.Metrics;

/// <summary>A mean of batch means, each weighted by what it was taken over.</summary>
public sealed class MeanLoss
{
    private double _sum;

    /// <summary>Number of samples or positions counted.</summary>
    public long Count { get; private set; }

    /// <summary>The mean; NaN before anything is counted.</summary>
    public double Value => Count == 0 ? double.NaN : _sum / Count;

    /// <summary>Adds a mean over <paramref name="count"/> samples or positions; a count of 0 adds nothing.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is negative.</exception>
    public void Add(double mean, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        if (count > 0)
        {
            _sum += mean * count;
            Count += count;
        }
    }
}
