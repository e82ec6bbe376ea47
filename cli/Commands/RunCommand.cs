using System.CommandLine;
using SplitFrozen.Cli.LocalRun;
using SplitFrozen.Torch;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>run</c>: fine-tunes by a spec, on this machine.</summary>
internal static class RunCommand
{
    public static Command Create(CommandContext context)
    {
        var spec = new Argument<string>("spec") { Description = "The run spec, a YAML file." };
        var set = CommonOptions.Set();
        var json = CommonOptions.Json("Print events as JSON, one per line, and nothing else on standard output.");
        var output = new Option<string?>("--out") { Description = "Run folder. Default: runs/NAME.", HelpName = "DIR" };
        var fresh = new Option<bool>("--fresh") { Description = "Start over: drop what an earlier run left in the run folder." };
        var command = new Command("run", "Fine-tune a model by a run spec, with all services in this process.") { spec, set, json, output, fresh };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var run = RunPreparation.Prepare(parsed.GetRequiredValue(spec), parsed.GetValue(set) ?? [], context.Environment);
            LibtorchLoader.Load();
            var folder = parsed.GetValue(output) ?? Path.Combine("runs", run.Spec.Name);
            var session = new RunSession(context, run, folder, parsed.GetValue(json));
            return await session.ExecuteAsync(parsed.GetValue(fresh), cancellationToken).ConfigureAwait(false);
        });
        return command;
    }
}
