using System.Globalization;
using Spectre.Console;
using SplitFrozen.Cli.Events;
using SplitFrozen.Cli.Reporting;

namespace SplitFrozen.Cli.Display;

/// <summary>The last thing a run prints: accuracy before and after, and what it cost.</summary>
internal static class SummaryTable
{
    /// <summary>Writes the summary.</summary>
    public static void Write(IAnsiConsole console, RunFacts facts, RunProgressView run)
    {
        var totals = RunTotals.Of(run);
        console.WriteLine();
        console.Write(Clients(run, totals));
        var grid = new Grid().AddColumn().AddColumn();
        if (run.Evaluations.Count > 0)
        {
            var (first, last) = (run.Evaluations.Values.First(), run.Evaluations.Values.Last());
            foreach (var metric in last.Metrics.Keys.OrderBy(metric => metric == facts.Metric ? 0 : 1))
            {
                var before = first.EpochsTrained == 0 && first.Metrics.TryGetValue(metric, out var value) ? Quantity.Metric(metric, value) + " → " : "";
                var style = metric == facts.Metric ? "bold green" : "default";
                grid.AddRow(new Text($"{metric} (held out)"), new Markup($"[{style}]{before}{Quantity.Metric(metric, last.Metrics[metric])}[/]"));
            }
        }

        foreach (var generation in run.Generations.Values)
        {
            grid.AddRow(new Text($"exact match {generation.Stage}"), new Text($"{generation.Correct} of {generation.Answered}"));
        }

        var samples = facts.TrainSamples + facts.EvaluationSamples;
        grid.AddRow("device compute", $"{Quantity.Flops(totals.ForwardFlops)} in {Quantity.Time(TimeSpan.FromSeconds(totals.DeviceSeconds))}");
        grid.AddRow("bytes sent", Quantity.Bytes(totals.Bytes));
        grid.AddRow("from the cache", $"{run.Progress.CachedAtFirst ?? 0} of {samples} samples");
        foreach (var failure in run.Failures)
        {
            grid.AddRow(new Text("missing"), new Text(PlainDisplay.FailureText(failure)));
        }

        grid.AddRow("time", $"{Quantity.Time(TimeSpan.FromSeconds(totals.WallSeconds))} (trainer computed {Quantity.Time(TimeSpan.FromSeconds(totals.TrainerSeconds))}, waited {Quantity.Time(TimeSpan.FromSeconds(totals.StarvedSeconds))})");
        grid.AddRow(new Text("adapter"), new Text(Path.Combine(facts.Folder, "adapter")));
        grid.AddRow(new Text("report"), new Text(Path.Combine(facts.Folder, "report.md")));
        console.Write(grid);
    }

    private static Table Clients(RunProgressView run, RunTotals totals)
    {
        var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
        table.AddColumn("client");
        foreach (var header in new[] { "samples", "computed", "device compute", "bytes sent", "time" })
        {
            table.AddColumn(header, column => column.RightAligned());
        }

        foreach (var client in run.Clients.Values)
        {
            table.AddRow(
                client.Client, Number(client.Samples), Number(client.Computed), Quantity.Flops(client.ForwardFlops),
                Quantity.Bytes(client.Bytes), Quantity.Time(TimeSpan.FromSeconds(client.ComputeSeconds)));
        }

        table.AddRow(
            "all", Number(run.Clients.Values.Sum(client => client.Samples)), Number(totals.Computed), Quantity.Flops(totals.ForwardFlops),
            Quantity.Bytes(totals.Bytes), Quantity.Time(TimeSpan.FromSeconds(totals.DeviceSeconds)));
        return table;
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
