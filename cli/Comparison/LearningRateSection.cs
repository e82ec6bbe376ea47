using System.Globalization;
using SplitFrozen.Cli.Display;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>What the search for learning rates saw.</summary>
internal sealed class LearningRateSection : IStudySection
{
    /// <inheritdoc/>
    public IEnumerable<ReportBlock> Write(StudyResult study)
    {
        if (study.Options.LearningRates.Count == 1)
        {
            yield break;
        }

        yield return new ReportBlock.Heading(2, "Search for the learning rates");
        yield return new ReportBlock.Paragraph("The metric on the training rows that were kept aside; the chosen learning rate is marked.");
        yield return new ReportBlock.Table(
            ["task, partition, method", .. study.Options.LearningRates.Select(rate => rate.ToString("0.######", CultureInfo.InvariantCulture))],
            [.. study.Tasks.SelectMany(task => task.Methods.Select(method => Row(task, method.Choice)))]);
    }

    private static IReadOnlyList<string> Row(TaskResult task, LearningRateChoice choice) =>
    [
        $"{task.Task.Spec.Name}, {choice.Partition?.Text ?? "pooled"}, {choice.Method.Title()}",
        .. choice.Candidates.Select(cell =>
            (cell.Final(task.Task.Metric) is { } value ? Quantity.Metric(task.Task.Metric, value) : "diverged")
            + (cell.Label.LearningRate.Equals(choice.LearningRate) ? " ←" : "")),
    ];
}
