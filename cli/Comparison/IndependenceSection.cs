using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>Whether SplitFrozen over clients trained the very bytes that the pooled data gave.</summary>
internal sealed class IndependenceSection : IStudySection
{
    /// <inheritdoc/>
    public IEnumerable<ReportBlock> Write(StudyResult study)
    {
        var rows = study.Tasks.SelectMany(Rows).ToArray();
        if (rows.Length == 0)
        {
            yield break;
        }

        yield return new ReportBlock.Heading(2, "Does it matter to SplitFrozen who holds the data?");
        yield return new ReportBlock.Paragraph(
            "Adapter and head of each SplitFrozen training against those of centralised training of the same blocks with the same seed and learning rate. "
            + "The centralised trainer knows no clients, no partition and no stored activations; it rounds the hidden states at the boundary to the wire type.");
        yield return new ReportBlock.Table(["task, partition", "trainings", "same bytes as centralised", "no centralised training with that learning rate"], rows);
    }

    private static IEnumerable<IReadOnlyList<string>> Rows(TaskResult task)
    {
        var pooled = task.Methods.FirstOrDefault(method => method.Choice.Method == MethodKind.Centralised);
        foreach (var method in task.Methods.Where(method => pooled is not null && method.Choice.Method == MethodKind.SplitFrozen))
        {
            var pairs = method.Cells.Select(cell => (Cell: cell, Pooled: Comparable(pooled!, cell))).Where(pair => pair.Pooled is not null).ToArray();
            yield return
            [
                $"{task.Task.Spec.Name}, {method.Choice.Partition!.Text}", $"{method.Cells.Count}", $"{pairs.Count(pair => pair.Cell.TrainedDigest == pair.Pooled!.TrainedDigest)}",
                $"{method.Cells.Count - pairs.Length}",
            ];
        }
    }

    private static CellResult? Comparable(MethodCells pooled, CellResult cell) => pooled.Cells.FirstOrDefault(
        other => other.Label.Seed == cell.Label.Seed && other.Label.LearningRate.Equals(cell.Label.LearningRate) && other.Error is null && cell.Error is null);
}
