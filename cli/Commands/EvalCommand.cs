using System.CommandLine;
using System.Text.Json;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.LocalRun;
using SplitFrozen.Torch;
using SplitFrozen.Training.Export;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>eval</c>: measures an adapter on the held-out split of a spec.</summary>
internal static class EvalCommand
{
    public static Command Create(CommandContext context)
    {
        var adapter = new Argument<string>("adapter") { Description = "Adapter folder in PEFT form, for example runs/demo/adapter." };
        var spec = new Option<string>("--spec") { Description = "The run spec that names model, task and data.", HelpName = "FILE", Required = true };
        var set = CommonOptions.Set();
        var json = CommonOptions.Json();
        var command = new Command("eval", "Measure an adapter on the held-out split of a run spec.") { adapter, spec, set, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var run = RunPreparation.Prepare(parsed.GetRequiredValue(spec), parsed.GetValue(set) ?? [], context.Environment);
            var folder = PeftAdapter.Read(parsed.GetRequiredValue(adapter));
            using var thread = new ComputeThread("eval", run.Spec.Training.Threads);
            var metrics = await thread.RunAsync(() => Evaluate(run, folder, cancellationToken), cancellationToken).ConfigureAwait(false);
            if (parsed.GetValue(json))
            {
                var result = new SortedDictionary<string, double>(metrics) { ["samples"] = run.Data.Evaluation.Count };
                await context.Output.WriteLineAsync(JsonSerializer.Serialize(result)).ConfigureAwait(false);
                return ExitCodes.Success;
            }

            foreach (var (name, value) in metrics)
            {
                await context.Output.WriteLineAsync($"{name,-16} {Quantity.Metric(name, value)}").ConfigureAwait(false);
            }

            await context.Output.WriteLineAsync($"{"samples",-16} {run.Data.Evaluation.Count}").ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Dictionary<string, double> Evaluate(PreparedRun run, PeftAdapter adapter, CancellationToken cancellationToken)
    {
        using var evaluation = new AdapterEvaluation(run, adapter);
        var metrics = evaluation.Evaluate(cancellationToken).ToDictionary();
        if (run.Data.GenerationExamples.Count > 0)
        {
            var (answered, correct) = evaluation.Generate(cancellationToken);
            metrics["exact_match"] = (double)correct / answered;
        }

        return metrics;
    }
}
