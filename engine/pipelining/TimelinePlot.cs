using System.Globalization;
using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace SplitFrozen.Pipelining;

/// <summary>Draws what each stage does over time, with the micro-batch in every bar.</summary>
public static class TimelinePlot
{
    private const double RowHeight = 46;

    // The exporter has no fonts and measures text as in Helvetica; other fonts are wider.
    private const double RoomForWiderFonts = 24;

    private static readonly (ActionKind Kind, string Title, OxyColor Colour)[] s_kinds =
    [
        (ActionKind.Forward, "F", OxyColor.FromRgb(0x8e, 0xb8, 0xe5)),
        (ActionKind.BackwardInput, "B", OxyColor.FromRgb(0x7b, 0xc8, 0xa4)),
        (ActionKind.BackwardWeight, "W", OxyColor.FromRgb(0xf2, 0xc1, 0x4e)),
        (ActionKind.Backward, "B and W", OxyColor.FromRgb(0x9c, 0xc4, 0x7f)),
    ];

    /// <summary>The SVG document; its title names the schedule and the bubble's share.</summary>
    /// <param name="timeline">What to draw.</param>
    /// <param name="heading">Begins the title.</param>
    /// <param name="timeTitle">Title of the time axis.</param>
    public static string Draw(PipelineTimeline timeline, string heading = "", string timeTitle = "time")
    {
        ArgumentNullException.ThrowIfNull(timeline);
        var request = timeline.Schedule.Request;
        var bubble = Math.Max(0, timeline.BubbleShare) * 100;
        var title = string.Create(
            CultureInfo.InvariantCulture,
            $"{heading}{PipelineSchedule.NameOf(request.Kind)}, {request.Stages} stages, {request.MicroBatches} micro-batches: {bubble:0.0} % bubble");
        var model = new PlotModel { Title = title, Background = OxyColors.White, PlotAreaBorderColor = OxyColors.LightGray, Padding = new OxyThickness(RoomForWiderFonts, 8, 8, 8) };
        var rows = new CategoryAxis { Position = AxisPosition.Left, StartPosition = 1, EndPosition = 0, GapWidth = 0.15, MajorTickSize = 0 };
        rows.Labels.AddRange(timeline.Stages.Select((_, stage) => StageName(timeline.Schedule, stage)));
        model.Axes.Add(rows);
        model.Axes.Add(new LinearAxis { Position = AxisPosition.Bottom, Title = timeTitle, Minimum = 0, MinimumPadding = 0, MaximumPadding = 0, AxisTitleDistance = 8 });
        model.Legends.Add(new Legend { LegendPlacement = LegendPlacement.Outside, LegendPosition = LegendPosition.RightTop, LegendPadding = RoomForWiderFonts });
        var used = timeline.Stages.SelectMany(actions => actions).Select(timed => timed.Action.Kind).ToHashSet();
        foreach (var (kind, name, colour) in s_kinds.Where(entry => used.Contains(entry.Kind)))
        {
            var bars = new IntervalBarSeries { Title = name, FillColor = colour, StrokeThickness = 0.5, StrokeColor = OxyColors.White, LabelFormatString = "{Title}", FontSize = 10 };
            bars.Items.AddRange(timeline.Stages.SelectMany((actions, stage) => actions
                .Where(timed => timed.Action.Kind == kind && timed.End > timed.Start)
                .Select(timed => new IntervalBarItem(timed.Start, timed.End, $"{timed.Action.MicroBatch}") { CategoryIndex = stage })));
            model.Series.Add(bars);
        }

        return new SvgExporter { Width = 1100, Height = 120 + (RowHeight * timeline.Stages.Count), UseVerticalTextAlignmentWorkaround = true }.ExportToString(model);
    }

    /// <summary>A stage as a reader calls it: devices by themselves, stages that train counted from 1.</summary>
    public static string StageName(PipelineSchedule schedule, int stage)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return stage < schedule.Request.ForwardStages ? $"device {stage + 1}" : $"stage {stage - schedule.Request.ForwardStages + 1}";
    }
}
