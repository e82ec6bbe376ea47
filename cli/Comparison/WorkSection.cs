using SplitFrozen.Cli.Display;
using SplitFrozen.Comparison.Methods;
using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>What the methods' clients computed and exchanged, as counted while they ran.</summary>
internal sealed class WorkSection : IStudySection
{
    /// <inheritdoc/>
    public IEnumerable<ReportBlock> Write(StudyResult study)
    {
        yield return new ReportBlock.Heading(2, "Work of all clients together");
        yield return new ReportBlock.Paragraph(
            "Counted in the first seed's training. Bytes are payload: activations, gradients, labels, adapters and head, without framing. SplitFrozen's devices compute each sample "
            + "once, however many epochs there are; a cache that knows a sample from an earlier run would spare even that.");
        yield return new ReportBlock.Table(
            ["task, partition, method", "tokens forward", "tokens backward", "forward FLOPs", "sent", "received", "seconds on one thread"],
            [.. study.Tasks.SelectMany(task => task.Methods.Where(method => method.Choice.Method.HasClients() && method.Cells[0].Error is null).Select(method => Row(task, method)))]);
    }

    private static string[] Row(TaskResult task, MethodCells method)
    {
        var cell = method.Cells[0];
        return
        [
            $"{task.Task.Spec.Name}, {method.Choice.Partition!.Text}, {method.Choice.Method.Title()}",
            Quantity.Count(Sum(cell, work => work.ForwardTokens)),
            Quantity.Count(Sum(cell, work => work.BackwardTokens)),
            Quantity.Flops(Sum(cell, work => work.ForwardFlops)),
            Quantity.Bytes(Sum(cell, work => work.ActivationBytesSent + work.AdapterBytesSent)),
            Quantity.Bytes(Sum(cell, work => work.GradientBytesReceived + work.AdapterBytesReceived)),
            Quantity.Time(TimeSpan.FromSeconds(method.Cells.Average(one => one.Seconds))),
        ];
    }

    private static double Sum(CellResult cell, Func<WorkCount, long> count) => cell.Clients.Sum(client => (double)count(client.Work));
}
