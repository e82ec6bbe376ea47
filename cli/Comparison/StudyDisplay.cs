using SplitFrozen.Cli.Display;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>A line after every training.</summary>
internal sealed class StudyDisplay(TextWriter output)
{
    /// <summary>Writes the line.</summary>
    public void Show(StudyProgress progress)
    {
        var (label, result) = (progress.Result.Label, progress.Result);
        var reached = result.Error ?? string.Join(", ", result.Epochs[^1].Metrics.Select(metric => $"{metric.Key} {Quantity.Metric(metric.Key, metric.Value)}"));
        var took = progress.WasStored ? "stored" : Quantity.Time(TimeSpan.FromSeconds(result.Seconds));
        var remaining = progress.Remaining is { } time ? $", ETA {Quantity.Time(time)}" : "";
        output.WriteLine(
            $"[{progress.Done}/{progress.Total}] {label.Task} {label.Method} {label.Partition ?? "pooled"}{(label.IsSearch ? " search" : "")} seed {label.Seed} rate {label.LearningRate:0.######}: "
            + $"{reached} ({took}){remaining}");
    }
}
