using SplitFrozen.Tasks;
using SplitFrozen.Tasks.Metrics;

namespace SplitFrozen.Training.FineTuning;

/// <summary>Collects the metrics of one evaluation over any number of batches.</summary>
public sealed class EvaluationAccumulator
{
    private readonly ITask _task;

    /// <summary>Starts empty.</summary>
    public EvaluationAccumulator(ITask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        _task = task;
        Classification = task.Kind == TaskKind.Classification ? new ClassificationMetrics(task.Classes) : null;
        LanguageModel = task.Kind == TaskKind.LanguageModel ? new LanguageModelMetrics() : null;
    }

    /// <summary>Counts and loss of a classification task; null for language modelling.</summary>
    public ClassificationMetrics? Classification { get; }

    /// <summary>Loss and token accuracy of language modelling, and exact match once answers are added; null for classification.</summary>
    public LanguageModelMetrics? LanguageModel { get; }

    /// <summary>Samples added.</summary>
    public long Samples { get; private set; }

    /// <summary>Mean cross-entropy over samples, or over counted tokens, in nats.</summary>
    public double Loss => Classification?.Loss ?? LanguageModel!.Loss;

    /// <summary>The metrics by name: <c>loss</c>, and <c>accuracy</c> and <c>f1</c>, or <c>token_accuracy</c> and <c>exact_match</c>.</summary>
    public IReadOnlyDictionary<string, double> Metrics()
    {
        var metrics = new SortedDictionary<string, double>(StringComparer.Ordinal) { ["loss"] = Loss };
        if (Classification is not null)
        {
            metrics["accuracy"] = Classification.Accuracy;
            metrics["f1"] = _task.PositiveClass is { } positive ? Classification.F1(positive) : Classification.MacroF1;
            return metrics;
        }

        metrics["token_accuracy"] = LanguageModel!.TokenAccuracy;
        if (LanguageModel.ExactMatch is { } exactMatch)
        {
            metrics["exact_match"] = exactMatch;
        }

        return metrics;
    }

    /// <summary>Adds one micro-batch.</summary>
    /// <param name="head">What the head said of it, with predictions.</param>
    /// <param name="labels">The labels that it was asked about.</param>
    /// <param name="samples">Its samples.</param>
    internal void Add(HeadResult head, int[] labels, int samples)
    {
        Samples += samples;
        if (Classification is null)
        {
            LanguageModel!.AddBatch(head.Loss, head.CountedLabels, head.CorrectPredictions);
        }
        else
        {
            Classification.AddBatch(head.Predicted, labels, head.Loss);
        }
    }
}
