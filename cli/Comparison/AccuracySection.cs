using System.Globalization;
using SplitFrozen.Cli.Display;
using SplitFrozen.Comparison.Study;
using SplitFrozen.Tasks;

namespace SplitFrozen.Cli.Comparison;

/// <summary>For every task and partition: what each method reaches, what SplitFrozen gains over it, and how they get there.</summary>
internal sealed class AccuracySection : IStudySection
{
    /// <inheritdoc/>
    public IEnumerable<ReportBlock> Write(StudyResult study)
    {
        foreach (var task in study.Tasks)
        {
            yield return new ReportBlock.Heading(2, $"{task.Task.Spec.Name}: held-out {task.Task.Metric}");
            if (MajorityShare(task.Task) is { } share)
            {
                yield return new ReportBlock.Paragraph($"Always answering the commonest class would reach an accuracy of {Quantity.Percent(share)}.");
            }

            foreach (var partition in study.Options.Partitions)
            {
                yield return new ReportBlock.Heading(3, $"{task.Task.Spec.Name}, {partition.Text}");
                yield return Table(task, partition);
                yield return new ReportBlock.Figure(
                    $"{task.Task.Spec.Name}-{partition.Text.Replace(':', '-')}", $"{task.Task.Spec.Name}, {partition.Text}: {task.Task.Metric} after each epoch",
                    StudyPlot.Draw(task, partition));
            }
        }
    }

    private static ReportBlock.Table Table(TaskResult task, PartitionChoice partition)
    {
        var metric = task.Task.Metric;
        var methods = task.On(partition);
        var own = methods.FirstOrDefault(method => method.Choice.Method == MethodKind.SplitFrozen)?.Final(metric);
        string[] others = [.. Measured(methods, metric)];
        return new ReportBlock.Table(
            ["method", .. others, "gain of SplitFrozen (points)", "relative", "learning rate"],
            [.. methods.Select(method => (IReadOnlyList<string>)[method.Choice.Method.Title(), .. others.Select(name => Text(name, method)), .. Gain(own, method, metric), Rate(method)])]);
    }

    /// <summary>The headline metric first, the loss last.</summary>
    private static IEnumerable<string> Measured(IReadOnlyList<MethodCells> methods, string metric) => methods
        .SelectMany(method => method.Cells)
        .SelectMany(cell => cell.Epochs)
        .SelectMany(epoch => epoch.Metrics.Keys)
        .Append(metric)
        .Distinct()
        .OrderBy(name => name == metric ? 0 : name == "loss" ? 2 : 1);

    private static string Text(string metric, MethodCells method)
    {
        if (method.Final(metric) is not { } spread)
        {
            return "failed";
        }

        var deviation = Quantity.IsShare(metric) ? (100 * spread.Deviation).ToString("0.0", CultureInfo.InvariantCulture) : spread.Deviation.ToString("0.0000", CultureInfo.InvariantCulture);
        return spread.Count == 1 ? Quantity.Metric(metric, spread.Mean) : $"{Quantity.Metric(metric, spread.Mean)} ± {deviation}";
    }

    private static string[] Gain(Spread? own, MethodCells method, string metric)
    {
        if (method.Choice.Method == MethodKind.SplitFrozen || own is not { } mine || method.Final(metric) is not { } theirs || !Quantity.IsShare(metric))
        {
            return ["", ""];
        }

        var gain = mine.Mean - theirs.Mean;
        return [Signed(100 * gain), theirs.Mean == 0 ? "" : Signed(100 * gain / theirs.Mean) + " %"];
    }

    private static string Signed(double value) => value.ToString("+0.0;−0.0;0.0", CultureInfo.InvariantCulture);

    private static string Rate(MethodCells method) => method.Choice.LearningRate.ToString("0.######", CultureInfo.InvariantCulture);

    private static double? MajorityShare(StudyTask task)
    {
        var held = task.Full.Data.Evaluation;
        return task.Full.Data.Task.Kind == TaskKind.Classification ? held.GroupBy(sample => sample.Class).Max(group => group.Count()) / (double)held.Count : null;
    }
}
