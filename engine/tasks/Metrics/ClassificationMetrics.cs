namespace SplitFrozen.Tasks.Metrics;

/// <summary>
/// Counts predictions against truth and derives the metrics from the counts. F1 of a class is
/// <c>2 TP / (2 TP + FP + FN)</c>, and 0 where the class neither occurs nor is predicted.
/// </summary>
public sealed class ClassificationMetrics
{
    private readonly long[,] _counts;
    private readonly MeanLoss _loss = new();

    /// <summary>Starts with no predictions.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than two classes.</exception>
    public ClassificationMetrics(int classes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 2);
        Classes = classes;
        _counts = new long[classes, classes];
    }

    /// <summary>Number of classes C.</summary>
    public int Classes { get; }

    /// <summary>Number of predictions counted.</summary>
    public long Samples { get; private set; }

    /// <summary>Share of predictions that are right, in [0, 1]; 0 before the first.</summary>
    public double Accuracy => Samples == 0 ? 0 : (double)Enumerable.Range(0, Classes).Sum(c => _counts[c, c]) / Samples;

    /// <summary>Mean of F1 over the classes that occur or are predicted (scikit-learn's <c>average="macro"</c>); 0 before the first prediction.</summary>
    public double MacroF1 =>
        Enumerable.Range(0, Classes).Where(c => Occurrences(c) + Predictions(c) > 0).Select(F1).DefaultIfEmpty(0).Average();

    /// <summary>Mean loss over the samples whose loss was given; NaN where none was.</summary>
    public double Loss => _loss.Value;

    /// <summary>Counts one sample; <paramref name="loss"/> is its cross-entropy, where known.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A class is outside <c>[0, C)</c>.</exception>
    public void Add(int predicted, int actual, double? loss = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)predicted, (uint)Classes, nameof(predicted));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)actual, (uint)Classes, nameof(actual));
        _counts[actual, predicted]++;
        Samples++;
        if (loss is { } value)
        {
            _loss.Add(value, 1);
        }
    }

    /// <summary>Counts a batch whose mean loss over <c>predicted.Length</c> samples is <paramref name="meanLoss"/>.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public void AddBatch(ReadOnlySpan<int> predicted, ReadOnlySpan<int> actual, double meanLoss)
    {
        if (predicted.Length != actual.Length)
        {
            throw new ArgumentException($"{predicted.Length} predictions for {actual.Length} samples.", nameof(predicted));
        }

        for (var i = 0; i < predicted.Length; i++)
        {
            Add(predicted[i], actual[i]);
        }

        _loss.Add(meanLoss, predicted.Length);
    }

    /// <summary>Number of samples of class <paramref name="actual"/> that were predicted as <paramref name="predicted"/>.</summary>
    public long Count(int actual, int predicted) => _counts[actual, predicted];

    /// <summary>F1 of one class, in [0, 1].</summary>
    public double F1(int positiveClass)
    {
        var denominator = Occurrences(positiveClass) + Predictions(positiveClass);
        return denominator == 0 ? 0 : 2.0 * _counts[positiveClass, positiveClass] / denominator;
    }

    /// <summary>The named metric of <paramref name="task"/>: <c>f1</c> of its positive class, or the macro mean without one; else accuracy.</summary>
    public double Headline(ITask task) =>
        task.MetricName != "f1" ? Accuracy : task.PositiveClass is { } positive ? F1(positive) : MacroF1;

    private long Occurrences(int c) => Enumerable.Range(0, Classes).Sum(p => _counts[c, p]);

    private long Predictions(int c) => Enumerable.Range(0, Classes).Sum(a => _counts[a, c]);
}
