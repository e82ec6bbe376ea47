using System.CommandLine;
using SplitFrozen.Cli.Specification;

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
        command.SetAction((parsed, _) =>
        {
            var reading = SpecReader.ReadFile(parsed.GetRequiredValue(spec), parsed.GetValue(set) ?? [], context.Environment);
            reading.Required();
            return Task.FromResult(ExitCodes.Success);
        });
        return command;
    }
}
