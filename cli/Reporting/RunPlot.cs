using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Events;

namespace SplitFrozen.Cli.Reporting;

/// <summary>Draws <c>plot.svg</c>: the loss of every step, raw and smoothed, above the held-out metric after each epoch.</summary>
internal static class RunPlot
{
    private const double Width = 860;
    private const string LossColour = "#1f77b4";
    private const string MetricColour = "#d62728";

    /// <summary>The SVG text; <paramref name="headline"/> is the headline metric of the task, replaced by the loss where evaluations lack it.</summary>
    public static string Draw(string title, RunProgressView run, string headline)
    {
        var metric = run.Evaluations.Values.Any(evaluation => evaluation.Metrics.ContainsKey(headline)) ? headline : "loss";
        var losses = run.Steps.Values.Where(step => double.IsFinite(step.Loss)).Select(step => (X: step.Step + 1.0, Y: step.Loss)).ToArray();
        var held = run.Evaluations.Values.Where(e => e.Metrics.ContainsKey(metric)).Select(e => (X: (double)e.Step, Y: e.Metrics[metric])).ToArray();
        var x = (0.0, Math.Max(1, losses.Select(p => p.X).Concat(held.Select(p => p.X)).DefaultIfEmpty(1).Max()));

        var upper = new SvgPanel(56, 250, Width, x, Range(losses), value => value.ToString("0.###"));
        upper.Axes("training loss (thin: each step; bold: smoothed)", xTitle: null);
        upper.Line(losses, LossColour, 1, 0.25);
        upper.Line(Smoothed(losses), LossColour, 2);

        var lower = new SvgPanel(366, 170, Width, x, Range(held), value => Quantity.Metric(metric, value));
        lower.Axes($"held-out {metric}", "optimiser step");
        lower.Line(held, MetricColour, 1.5);
        foreach (var (step, value) in held)
        {
            lower.Point(step, value, MetricColour);
        }

        return $"""
            <svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {Width} 590' width='{Width}' height='590' font-family='sans-serif' font-size='12' fill='#333'>
            <rect width='100%' height='100%' fill='white'/>
            <text x='64' y='24' font-size='16' font-weight='bold'>{SvgPanel.Escape(title)}</text>
            {upper}{lower}</svg>

            """;
    }

    private static (double Low, double High) Range((double X, double Y)[] points) =>
        points.Length == 0 ? (0, 1) : (points.Min(p => p.Y), points.Max(p => p.Y));

    /// <summary>Exponential average with its bias removed (as in Adam), over about a fiftieth of the run.</summary>
    private static IEnumerable<(double X, double Y)> Smoothed((double X, double Y)[] points)
    {
        var decay = 1 - (1 / Math.Max(2.0, points.Length / 50.0));
        var (average, weight) = (0.0, 0.0);
        foreach (var (x, y) in points)
        {
            average = (decay * average) + ((1 - decay) * y);
            weight = (decay * weight) + (1 - decay);
            yield return (x, average / weight);
        }
    }
}
