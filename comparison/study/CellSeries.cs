namespace SplitFrozen.Comparison.Study;

/// <summary>The cells of one method on one task and partition.</summary>
internal sealed record CellSeries(StudyTask Task, MethodKind Method, PartitionChoice? Partition)
{
    /// <summary>A training for every learning rate, on the search's seed and slice.</summary>
    public Cell[] Search(StudyOptions options) =>
        [.. options.LearningRates.Select(rate => new Cell(Task, Method, Partition, options.SearchSeed, rate, IsSearch: true))];

    /// <summary>A training for every seed.</summary>
    public Cell[] Final(StudyOptions options, double learningRate) =>
        [.. options.Seeds.Select(seed => new Cell(Task, Method, Partition, seed, learningRate, IsSearch: false))];

    /// <summary>
    /// The learning rate whose last epoch has the best metric on the search's slice; of equal ones, that with the smaller loss. The
    /// lowest one where all failed.
    /// </summary>
    public LearningRateChoice Choose(StudyOptions options, IReadOnlyList<CellResult> candidates)
    {
        var best = candidates
            .Where(cell => cell.Error is null)
            .OrderByDescending(cell => cell.Final(Task.Metric))
            .ThenBy(cell => cell.Final("loss"))
            .FirstOrDefault();
        return new LearningRateChoice(Method, Partition, best?.Label.LearningRate ?? options.LearningRates.Min(), candidates);
    }
}
