using System.Text.Json;

namespace SplitFrozen.Comparison.Study;

/// <summary>A study in short, as <c>study.json</c> holds it: what was found, and in which file each cell lies.</summary>
/// <param name="Tasks">The tasks.</param>
public sealed record StudySummary(IReadOnlyList<TaskSummary> Tasks)
{
    /// <summary>The summary of a study.</summary>
    /// <param name="study">The study.</param>
    /// <param name="store">Where its cells lie.</param>
    public static StudySummary Of(StudyResult study, CellStore store)
    {
        ArgumentNullException.ThrowIfNull(study);
        ArgumentNullException.ThrowIfNull(store);
        return new StudySummary(
        [
            .. study.Tasks.Select(task => new TaskSummary(
                task.Task.Spec.Name, task.Task.Metric, task.Task.Model.Config.Layers, task.Task.Model.Config.Width, task.Task.Spec.Model.Boundary,
                [.. task.Methods.Select(method => Method(task.Task.Metric, method, store))])),
        ]);
    }

    /// <summary>The summary as JSON on one line.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StudyJson.Default.StudySummary);

    private static MethodSummary Method(string metric, MethodCells method, CellStore store)
    {
        var spread = method.Final(metric);
        return new MethodSummary(
            method.Choice.Method.Name(), method.Choice.Partition?.Text, method.Choice.LearningRate, spread?.Mean, spread?.Deviation,
            [
                .. method.Cells.Select(cell => new CellSummary(
                    cell.Label.Seed, cell.Final(metric), cell.Final("loss"), cell.Error, cell.Seconds, Path.GetFileName(store.PathOf(cell.Identity)))),
            ]);
    }
}

/// <summary>A task in short.</summary>
/// <param name="Task">Name of the run spec.</param>
/// <param name="Metric">Headline metric.</param>
/// <param name="Blocks">Blocks of the model, L.</param>
/// <param name="Width">Hidden width, H.</param>
/// <param name="Boundary">Frozen boundary, F.</param>
/// <param name="Methods">Methods by partition.</param>
public sealed record TaskSummary(string Task, string Metric, int Blocks, int Width, int Boundary, IReadOnlyList<MethodSummary> Methods);

/// <summary>A method on a partition, in short.</summary>
/// <param name="Method">Its name.</param>
/// <param name="Partition">The partition; null where nobody deals the data.</param>
/// <param name="LearningRate">The learning rate that was chosen.</param>
/// <param name="Mean">Mean of the metric over the seeds; null if a training failed.</param>
/// <param name="Deviation">Sample standard deviation over the seeds.</param>
/// <param name="Cells">The trainings.</param>
public sealed record MethodSummary(string Method, string? Partition, double LearningRate, double? Mean, double? Deviation, IReadOnlyList<CellSummary> Cells);

/// <summary>A cell in short.</summary>
/// <param name="Seed">Seed.</param>
/// <param name="Value">The metric after the last epoch; null if it failed.</param>
/// <param name="Loss">Held-out loss after the last epoch.</param>
/// <param name="Error">Why it failed.</param>
/// <param name="Seconds">Wall time on one thread.</param>
/// <param name="File">Name of the file that has all of it.</param>
public sealed record CellSummary(long Seed, double? Value, double? Loss, string? Error, double Seconds, string File);
