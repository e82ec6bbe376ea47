using System.Globalization;
using SplitFrozen.Comparison.Study;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Cli.Comparison;

/// <summary>What was compared, and by which command.</summary>
internal sealed class SetupSection(string command) : IStudySection
{
    /// <inheritdoc/>
    public IEnumerable<ReportBlock> Write(StudyResult study)
    {
        var options = study.Options;
        yield return new ReportBlock.Heading(1, "Comparison of methods");
        yield return new ReportBlock.Command(command);
        yield return new ReportBlock.Paragraph(
            "Every method trains the same base model on the same samples with the same adapters, batch size, number of epochs, optimiser and schedule. "
            + $"Figures are mean ± sample standard deviation over the seeds {string.Join(", ", options.Seeds)}; a seed decides partition, order of the data, adapters and head.");
        yield return new ReportBlock.Paragraph(
            options.LearningRates.Count == 1
                ? $"Every method trains with the learning rate {Number(options.LearningRates[0])}; it was not searched for."
                : $"Every method chooses its learning rate from {string.Join(", ", options.LearningRates.Select(Number))} on each partition by itself, on {(100 * options.SearchShare).ToString("0", CultureInfo.InvariantCulture)} % "
                + $"of the training rows that it does not train on, with seed {options.SearchSeed}. The held-out split takes no part in the choice.");
        yield return new ReportBlock.Table(
            ["task", "training rows", "held-out rows", "blocks frozen", "adapter", "clients", "epochs", "batch", "wire"],
            [.. study.Tasks.Select(task => Row(task.Task))]);
        yield return new ReportBlock.Paragraph(
            $"FedLoRA aggregates after every {(options.LocalEpochs == 1 ? "epoch" : $"{options.LocalEpochs} epochs")}, SplitLoRA averages its clients' adapters every {options.AveragingInterval} server steps; "
            + "all clients take part always. Centralised training sees no clients: it stands in every table for comparison.");
    }

    private static string[] Row(StudyTask task)
    {
        var spec = task.Spec;
        return
        [
            spec.Name, Number(task.Full.Data.Train.Count), Number(task.Full.Data.Evaluation.Count), $"{spec.Model.Boundary} of {task.Model.Config.Layers}",
            $"r {spec.Lora.Rank}, α {Number(spec.Lora.Alpha)}", Number(spec.Clients.Count), Number(spec.Training.Epochs), Number(spec.Training.BatchSize), spec.Device.WireType.Name(),
        ];
    }

    private static string Number(double number) => number.ToString("#,0.########", CultureInfo.InvariantCulture);
}
