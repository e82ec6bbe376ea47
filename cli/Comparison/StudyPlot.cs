using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;
using SplitFrozen.Cli.Display;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>Draws the headline metric of all methods after each epoch, as means over the seeds, and has what other drawings of a study share.</summary>
internal static class StudyPlot
{
    private static readonly OxyColor[] s_colours =
    [
        OxyColor.FromRgb(0xd6, 0x27, 0x28), OxyColor.FromRgb(0x1f, 0x77, 0xb4), OxyColor.FromRgb(0x17, 0xbe, 0xcf),
        OxyColor.FromRgb(0x2c, 0xa0, 0x2c), OxyColor.FromRgb(0x7f, 0x7f, 0x7f), OxyColor.FromRgb(0x22, 0x22, 0x22),
    ];

    // The exporter has no fonts and measures text as in Helvetica; other fonts are wider, and the legend is cut at its edge.
    private const double RoomForWiderFonts = 32;

    /// <summary>The metric over epochs for one task and partition, as an SVG document.</summary>
    public static string Draw(TaskResult task, PartitionChoice partition)
    {
        var metric = task.Task.Metric;
        var model = Empty($"{task.Task.Spec.Name}, {partition.Text}");
        model.Axes.Add(new LinearAxis { Position = AxisPosition.Bottom, Title = "epochs", MinimumMajorStep = 1, MinorStep = 1, MinimumPadding = 0.02, MaximumPadding = 0.02 });
        model.Axes.Add(MetricAxis(metric));
        foreach (var method in task.On(partition))
        {
            var kind = method.Choice.Method;
            var line = Line(kind.Name(), kind, kind.HasClients() ? LineStyle.Solid : LineStyle.Dash);
            line.Points.AddRange(Means(method, metric).Select(mean => new DataPoint(mean.Epoch, mean.Value)));
            model.Series.Add(line);
        }

        return Export(model);
    }

    /// <summary>A plot with a title and a legend beside it.</summary>
    internal static PlotModel Empty(string title)
    {
        var model = new PlotModel { Title = title, Background = OxyColors.White, PlotAreaBorderColor = OxyColors.LightGray };
        model.Legends.Add(new Legend { LegendPlacement = LegendPlacement.Outside, LegendPosition = LegendPosition.RightTop, LegendLineSpacing = 6, LegendPadding = RoomForWiderFonts });
        return model;
    }

    /// <summary>The vertical axis of a metric.</summary>
    internal static LinearAxis MetricAxis(string metric) => new()
    {
        Position = AxisPosition.Left,
        Title = $"held-out {metric}",
        LabelFormatter = value => Quantity.Metric(metric, value),
        MajorGridlineStyle = LineStyle.Solid,
        MajorGridlineColor = OxyColors.WhiteSmoke,
        MinimumPadding = 0.06,
        MaximumPadding = 0.06,
        AxisTitleDistance = RoomForWiderFonts,
    };

    /// <summary>A method's line, without points.</summary>
    internal static LineSeries Line(string title, MethodKind method, LineStyle style) => new()
    {
        Title = title,
        Color = s_colours[(int)method],
        StrokeThickness = method == MethodKind.SplitFrozen ? 2.5 : 1.5,
        LineStyle = style,
        MarkerType = MarkerType.Circle,
        MarkerFill = s_colours[(int)method],
        MarkerSize = 3,
    };

    /// <summary>Means of a metric over the seeds, before training and after each epoch.</summary>
    internal static IEnumerable<(int Epoch, double Value)> Means(MethodCells method, string metric) => method.Cells
        .SelectMany(cell => cell.Epochs)
        .Where(epoch => epoch.Metrics.ContainsKey(metric))
        .GroupBy(epoch => epoch.Epoch)
        .OrderBy(group => group.Key)
        .Select(group => (group.Key, group.Average(epoch => epoch.Metrics[metric])));

    /// <summary>The SVG document.</summary>
    internal static string Export(PlotModel model, double height = 400) =>
        new SvgExporter { Width = 860, Height = height, UseVerticalTextAlignmentWorkaround = true }.ExportToString(model);
}
