using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;
using SplitFrozen.Cli.Display;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>Draws the headline metric of all methods after each epoch, as means over the seeds.</summary>
internal static class StudyPlot
{
    private static readonly OxyColor[] s_colours =
    [
        OxyColor.FromRgb(0xd6, 0x27, 0x28), OxyColor.FromRgb(0x1f, 0x77, 0xb4), OxyColor.FromRgb(0x17, 0xbe, 0xcf),
        OxyColor.FromRgb(0x2c, 0xa0, 0x2c), OxyColor.FromRgb(0x7f, 0x7f, 0x7f), OxyColor.FromRgb(0x22, 0x22, 0x22),
    ];

    // The exporter has no fonts and measures text as in Helvetica; other fonts are wider, and the legend is cut at its edge.
    private const double RoomForWiderFonts = 32;

    /// <summary>The SVG document for one task and partition.</summary>
    public static string Draw(TaskResult task, PartitionChoice partition)
    {
        var metric = task.Task.Metric;
        var model = new PlotModel { Title = $"{task.Task.Spec.Name}, {partition.Text}", Background = OxyColors.White, PlotAreaBorderColor = OxyColors.LightGray };
        model.Axes.Add(new LinearAxis { Position = AxisPosition.Bottom, Title = "epochs", MinimumMajorStep = 1, MinorStep = 1, MinimumPadding = 0.02, MaximumPadding = 0.02 });
        model.Axes.Add(new LinearAxis
        {
            Position = AxisPosition.Left,
            Title = $"held-out {metric}",
            LabelFormatter = value => Quantity.Metric(metric, value),
            MajorGridlineStyle = LineStyle.Solid,
            MajorGridlineColor = OxyColors.WhiteSmoke,
            MinimumPadding = 0.06,
            MaximumPadding = 0.06,
            AxisTitleDistance = RoomForWiderFonts,
        });
        model.Legends.Add(new Legend { LegendPlacement = LegendPlacement.Outside, LegendPosition = LegendPosition.RightTop, LegendLineSpacing = 6, LegendPadding = RoomForWiderFonts });
        foreach (var method in task.On(partition))
        {
            model.Series.Add(Line(method, metric));
        }

        return new SvgExporter { Width = 860, Height = 400, UseVerticalTextAlignmentWorkaround = true }.ExportToString(model);
    }

    private static LineSeries Line(MethodCells method, string metric)
    {
        var colour = s_colours[(int)method.Choice.Method];
        var line = new LineSeries
        {
            Title = method.Choice.Method.Name(),
            Color = colour,
            StrokeThickness = method.Choice.Method == MethodKind.SplitFrozen ? 2.5 : 1.5,
            LineStyle = method.Choice.Method.HasClients() ? LineStyle.Solid : LineStyle.Dash,
            MarkerType = MarkerType.Circle,
            MarkerFill = colour,
            MarkerSize = 3,
        };
        var points = method.Cells.SelectMany(cell => cell.Epochs).Where(epoch => epoch.Metrics.ContainsKey(metric)).GroupBy(epoch => epoch.Epoch).OrderBy(group => group.Key);
        line.Points.AddRange(points.Select(group => new DataPoint(group.Key, group.Average(epoch => epoch.Metrics[metric]))));
        return line;
    }
}
