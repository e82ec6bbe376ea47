using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Series;
using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>Draws what methods cost a fleet and how the metric grows with simulated time.</summary>
internal static class FleetPlot
{
    private const double LeastShare = 0.1;

    /// <summary>Device compute, traffic and memory of every method, in percent of FedLoRA's; a cost of nothing has no bar.</summary>
    public static string Costs(string title, FleetCase one)
    {
        var model = StudyPlot.Empty(title);
        var categories = new CategoryAxis { Position = AxisPosition.Left, Key = "methods", StartPosition = 1, EndPosition = 0 };
        categories.Labels.AddRange(one.Entries.Select(entry => entry.Title));
        model.Axes.Add(categories);
        model.Axes.Add(new LogarithmicAxis
        {
            Position = AxisPosition.Bottom, Key = "shares", Title = "% of FedLoRA's", AxisTitleDistance = 8, Minimum = LeastShare, MajorGridlineStyle = LineStyle.Solid, MajorGridlineColor = OxyColors.WhiteSmoke,
        });
        (string Title, OxyColor Colour, Func<MethodCost, double> Of)[] costs =
        [
            ("device compute", OxyColor.FromRgb(0xd6, 0x27, 0x28), cost => cost.DeviceFlops),
            ("sent and received", OxyColor.FromRgb(0x1f, 0x77, 0xb4), cost => cost.UpBytes + cost.DownBytes),
            ("memory", OxyColor.FromRgb(0x2c, 0xa0, 0x2c), cost => cost.PeakDeviceMemory),
        ];
        foreach (var (name, colour, of) in costs)
        {
            var bars = new BarSeries { Title = name, FillColor = colour, BaseValue = LeastShare, XAxisKey = "shares", YAxisKey = "methods" };
            var whole = of(one.Entries[0].Cost);
            bars.Items.AddRange(one.Entries.Select(entry => new BarItem(Math.Max(LeastShare, 100 * of(entry.Cost) / whole))));
            model.Series.Add(bars);
        }

        return StudyPlot.Export(model, height: 520);
    }

    /// <summary>The metric of every method over the simulated time at which its epochs end, as means over the seeds.</summary>
    public static string OverTime(TaskResult task, FleetCase one)
    {
        var metric = task.Task.Metric;
        var model = StudyPlot.Empty($"{task.Task.Spec.Name}, {one.Partition.Text}");
        model.Axes.Add(new LogarithmicAxis { Position = AxisPosition.Bottom, Title = "simulated seconds", AxisTitleDistance = 8, MajorGridlineStyle = LineStyle.Solid, MajorGridlineColor = OxyColors.WhiteSmoke });
        model.Axes.Add(StudyPlot.MetricAxis(metric));
        (string Title, MethodKind Trained, FleetEntry Timed, LineStyle Style)[] lines =
        [
            (MethodKind.FedLora.Name(), MethodKind.FedLora, one.Entries[0], LineStyle.Solid),
            (MethodKind.SplitLora.Name(), MethodKind.SplitLora, one.Entries[1], LineStyle.Solid),
            (MethodKind.SplitFrozen.Name(), MethodKind.SplitFrozen, one.Entries[2], LineStyle.Solid),
            ("with cache", MethodKind.SplitFrozen, one.Entries[3], LineStyle.Dash),
        ];
        foreach (var (title, trained, timed, style) in lines)
        {
            if (task.On(one.Partition).FirstOrDefault(method => method.Choice.Method == trained) is { } method)
            {
                var line = StudyPlot.Line(title, trained, style);
                line.Points.AddRange(StudyPlot.Means(method, metric).Where(mean => mean.Epoch > 0).Select(mean => new DataPoint(timed.Run.EpochEnds[mean.Epoch - 1], mean.Value)));
                model.Series.Add(line);
            }
        }

        return StudyPlot.Export(model);
    }
}
