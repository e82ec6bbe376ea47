using System.CommandLine;
using SplitFrozen.Cli.LocalRun;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.Export;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>export</c>: writes what a run has learnt, as a PEFT adapter or merged into full weights.</summary>
internal static class ExportCommand
{
    public static Command Create(CommandContext context)
    {
        var source = new Argument<string>("run") { Description = "A run folder (its newest checkpoint is taken), or a checkpoint file in one." };
        var format = new Option<string>("--format") { Description = "peft (the adapter alone) or merged (a whole model).", HelpName = "peft|merged", Required = true };
        format.AcceptOnlyFromAmong("peft", "merged");
        var output = CommonOptions.NewFolder();
        var command = new Command("export", "Write what a run has learnt: an adapter, or a model with the adapter merged in.") { source, format, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var target = parsed.GetRequiredValue(output);
            CommonOptions.RequireNew(target);

            var (run, checkpoint) = Locate(parsed.GetRequiredValue(source));
            var (spec, record) = RunFolder.Read(run);
            using var thread = new ComputeThread("export", 1);
            var step = await thread.RunAsync(
                () =>
                {
                    using var model = ModelFolder.Open(spec.Model.Path, spec.Device.WeightKind());
                    if (model.Fingerprint != record.ModelFingerprint)
                    {
                        throw new InputException($"{spec.Model.Path}: the base model changed since the run; restore the files that it was trained on.");
                    }

                    using var adapter = TrainedAdapter.Open(model, spec, record.RunId, record.ClassNames, checkpoint);
                    Action<string> write = parsed.GetRequiredValue(format) == "peft" ? adapter.WritePeft : adapter.WriteMerged;
                    write(target);
                    return adapter.Step;
                },
                cancellationToken).ConfigureAwait(false);
            await context.Output.WriteLineAsync($"written: {target} (step {step})").ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static (string Run, string Checkpoint) Locate(string source)
    {
        if (Directory.Exists(source))
        {
            return (source, Path.Combine(source, "checkpoints"));
        }

        return File.Exists(source)
            ? (Path.GetDirectoryName(Path.GetDirectoryName(Path.GetFullPath(source)))!, source)
            : throw new InputException($"{source}: there is no such run folder or checkpoint.");
    }
}
