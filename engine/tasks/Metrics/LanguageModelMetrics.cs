namespace SplitFrozen.Tasks.Metrics;

/// <summary>Loss and token accuracy over counted positions, and exact match over generated answers.</summary>
public sealed class LanguageModelMetrics
{
    private readonly MeanLoss _loss = new();
    private long _correct;
    private long _matched;

    /// <summary>Mean cross-entropy per counted position, in nats; NaN before the first.</summary>
    public double Loss => _loss.Value;

    /// <summary><c>exp(loss)</c>.</summary>
    public double Perplexity => Math.Exp(Loss);

    /// <summary>Number of positions counted.</summary>
    public long Positions => _loss.Count;

    /// <summary>Share of counted positions whose most likely token is the right one, in [0, 1]; 0 before the first.</summary>
    public double TokenAccuracy => Positions == 0 ? 0 : (double)_correct / Positions;

    /// <summary>Number of answers judged.</summary>
    public long Answers { get; private set; }

    /// <summary>Share of answers whose number is the reference's, in [0, 1]; null where no answer was judged.</summary>
    public double? ExactMatch => Answers == 0 ? null : (double)_matched / Answers;

    /// <summary>Counts a batch: its mean loss over <paramref name="positions"/> counted positions, of which <paramref name="correct"/> were right.</summary>
    /// <exception cref="ArgumentOutOfRangeException">More are right than counted, or a count is negative.</exception>
    public void AddBatch(double meanLoss, long positions, long correct)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(correct);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(correct, positions);
        _loss.Add(meanLoss, positions);
        _correct += correct;
    }

    /// <summary>Judges a generated answer by <see cref="Gsm8kAnswer.Matches"/>.</summary>
    /// <returns>True when it matches.</returns>
    public bool AddAnswer(string generated, GenerationExample example)
    {
        Answers++;
        var matches = Gsm8kAnswer.Matches(generated, example.Answer);
        _matched += matches ? 1 : 0;
        return matches;
    }
}
