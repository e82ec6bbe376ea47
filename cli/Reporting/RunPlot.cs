using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Series;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Events;

namespace SplitFrozen.Cli.Reporting;

/// <summary>Draws <c>plot.svg</c>: the loss of every step, raw and smoothed, above the held-out metric after each epoch.</summary>
internal static class RunPlot
{
    private const string LossAxis = "loss";
    private const string MetricAxis = "metric";
    private static readonly OxyColor s_lossColour = OxyColor.FromRgb(0x1f, 0x77, 0xb4);
    private static readonly OxyColor s_metricColour = OxyColor.FromRgb(0xd6, 0x27, 0x28);

    /// <summary>The SVG text; <paramref name="headline"/> is the headline metric of the task, replaced by the loss where evaluations lack it.</summary>
    public static string Draw(string title, RunProgressView run, string headline)
    {
        var metric = run.Evaluations.Values.Any(evaluation => evaluation.Metrics.ContainsKey(headline)) ? headline : "loss";
        var losses = run.Steps.Values.Where(step => double.IsFinite(step.Loss)).Select(step => new DataPoint(step.Step + 1, step.Loss)).ToArray();
        var held = run.Evaluations.Values.Where(e => e.Metrics.ContainsKey(metric)).Select(e => new DataPoint(e.Step, e.Metrics[metric])).ToArray();

        var model = new PlotModel { Title = title, Background = OxyColors.White, PlotAreaBorderColor = OxyColors.LightGray };
        model.Axes.Add(new LinearAxis { Position = AxisPosition.Bottom, Title = "optimiser step", Minimum = 0 });
        model.Axes.Add(ValueAxis(LossAxis, "training loss", 0.45, 1, value => value.ToString("0.###")));
        model.Axes.Add(ValueAxis(MetricAxis, $"held-out {metric}", 0, 0.38, value => Quantity.Metric(metric, value)));
        Add(model, losses, LossAxis, OxyColor.FromAColor(90, s_lossColour), 1, MarkerType.None);
        Add(model, Smoothed(losses), LossAxis, s_lossColour, 2, MarkerType.None);
        Add(model, held, MetricAxis, s_metricColour, 1.5, MarkerType.Circle);

        // The exporter needs no fonts: it writes text as text, and the viewer supplies them.
        return new SvgExporter { Width = 860, Height = 590 }.ExportToString(model);
    }

    private static LinearAxis ValueAxis(string key, string title, double from, double to, Func<double, string> label) => new()
    {
        Key = key,
        Title = title,
        Position = AxisPosition.Left,
        StartPosition = from,
        EndPosition = to,
        LabelFormatter = label,
        MajorGridlineStyle = LineStyle.Solid,
        MajorGridlineColor = OxyColors.WhiteSmoke,
        MinimumPadding = 0.06,
        MaximumPadding = 0.06,
        AxisTitleDistance = 12,
    };

    private static void Add(PlotModel model, IEnumerable<DataPoint> points, string axis, OxyColor colour, double thickness, MarkerType marker)
    {
        var line = new LineSeries { YAxisKey = axis, Color = colour, StrokeThickness = thickness, MarkerType = marker, MarkerFill = colour, MarkerSize = 4 };
        line.Points.AddRange(points);
        model.Series.Add(line);
    }

    /// <summary>Exponential average with its bias removed (as in Adam), over about a fiftieth of the run.</summary>
    private static IEnumerable<DataPoint> Smoothed(DataPoint[] points)
    {
        var decay = 1 - (1 / Math.Max(2.0, points.Length / 50.0));
        var (average, weight) = (0.0, 0.0);
        foreach (var point in points)
        {
            average = (decay * average) + ((1 - decay) * point.Y);
            weight = (decay * weight) + (1 - decay);
            yield return new DataPoint(point.X, average / weight);
        }
    }
}
