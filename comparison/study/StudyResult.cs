namespace SplitFrozen.Comparison.Study;

/// <summary>The learning rate chosen for a method on a task and partition.</summary>
/// <param name="Method">The method.</param>
/// <param name="Partition">The partition; null where nobody deals the data.</param>
/// <param name="LearningRate">What was chosen.</param>
/// <param name="Candidates">The trainings it was chosen from; empty where there was one learning rate only.</param>
public sealed record LearningRateChoice(MethodKind Method, PartitionChoice? Partition, double LearningRate, IReadOnlyList<CellResult> Candidates);

/// <summary>The trainings of one method on one task and partition, a seed each.</summary>
/// <param name="Choice">The method with its learning rate.</param>
/// <param name="Cells">The trainings in the order of the seeds.</param>
public sealed record MethodCells(LearningRateChoice Choice, IReadOnlyList<CellResult> Cells)
{
    /// <summary>A metric after the last epoch over the seeds; null if a training failed.</summary>
    public Spread? Final(string metric)
    {
        var values = Cells.Select(cell => cell.Final(metric)).ToArray();
        return values.Length > 0 && Array.TrueForAll(values, value => value is not null) ? Spread.Of([.. values.Select(value => value!.Value)]) : null;
    }
}

/// <summary>What a study found on one task.</summary>
/// <param name="Task">The task.</param>
/// <param name="Methods">All methods and partitions.</param>
public sealed record TaskResult(StudyTask Task, IReadOnlyList<MethodCells> Methods)
{
    /// <summary>The methods on one partition, and those that nobody deals data to.</summary>
    public IReadOnlyList<MethodCells> On(PartitionChoice partition) => [.. Methods.Where(method => method.Choice.Partition is null || method.Choice.Partition == partition)];
}

/// <summary>What a study found.</summary>
/// <param name="Options">What it compared.</param>
/// <param name="Tasks">The tasks.</param>
public sealed record StudyResult(StudyOptions Options, IReadOnlyList<TaskResult> Tasks);

/// <summary>Mean and spread of some values.</summary>
/// <param name="Mean">Mean.</param>
/// <param name="Deviation">Sample standard deviation (n − 1); 0 for a single value.</param>
/// <param name="Count">Number of values.</param>
public readonly record struct Spread(double Mean, double Deviation, int Count)
{
    /// <summary>Of at least one value.</summary>
    public static Spread Of(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var mean = values.Average();
        var squares = values.Sum(value => (value - mean) * (value - mean));
        return new Spread(mean, values.Count == 1 ? 0 : Math.Sqrt(squares / (values.Count - 1)), values.Count);
    }
}
