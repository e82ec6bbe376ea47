using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Spectre.Console;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.LocalRun;
using SplitFrozen.Comparison.Leakage;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Torch;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>leakage</c>: how many tokens of a spec's held-out samples an attacker gets back from their activations.</summary>
internal static class LeakageCommand
{
    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static Command Create(CommandContext context)
    {
        var spec = new Argument<string>("spec") { Description = "The run spec that names model, task and data." };
        var cuts = new Option<string?>("--cuts") { Description = "Cuts to attack, for example 0,2,4; by default every one.", HelpName = "LIST" };
        var wire = new Option<string>("--wire") { Description = "Wire types to attack.", HelpName = "LIST", DefaultValueFactory = _ => "f32,f16,int8" };
        var samples = new Option<int>("--samples") { Description = "Held-out samples to attack, from the first.", HelpName = "N", DefaultValueFactory = _ => 20 };
        var (set, json) = (CommonOptions.Set(), CommonOptions.Json());
        var command = new Command("leakage", "Measure how many tokens can be read back from activations, by cut and wire type.") { spec, cuts, wire, samples, set, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var run = RunPreparation.Prepare(parsed.GetRequiredValue(spec), parsed.GetValue(set) ?? [], context.Environment);
            var attackedCuts = Cuts(parsed.GetValue(cuts), run.Model.Config.Layers);
            var wireTypes = Split(parsed.GetRequiredValue(wire)).Select(WireTypeOf).ToArray();
            var count = parsed.GetValue(samples) is var asked && asked >= 1 ? asked : throw new InputException($"--samples {asked}: expected at least 1.");
            var attacked = run.Data.Evaluation.Take(count).ToArray();
            using var thread = new ComputeThread("leakage", run.Spec.Device.Threads);
            var scores = await thread.RunAsync(
                () => LeakageMeasurement.Measure(run.Model, attacked, attackedCuts, wireTypes, cancellationToken), cancellationToken).ConfigureAwait(false);
            if (parsed.GetValue(json))
            {
                await context.Output.WriteLineAsync(Json(attacked.Length, scores)).ConfigureAwait(false);
            }
            else
            {
                Show(context.Console(), attacked.Length, wireTypes, scores);
            }

            return ExitCodes.Success;
        });
        return command;
    }

    private static int[] Cuts(string? list, int blocks)
    {
        if (list is null)
        {
            return [.. Enumerable.Range(0, blocks + 1)];
        }

        int[] cuts =
        [
            .. Split(list).Select(text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var cut)
                ? cut
                : throw new InputException($"--cuts {list}: expected whole numbers, separated by commas.")),
        ];
        var outside = Array.FindIndex(cuts, cut => cut > blocks);
        return outside < 0 ? cuts : throw new InputException($"--cuts {cuts[outside]}: expected 0 to {blocks}, the model's blocks.");
    }

    private static WireType WireTypeOf(string name)
    {
        var index = Array.FindIndex(Enum.GetValues<WireType>(), type => type.Name() == name);
        return index >= 0 ? Enum.GetValues<WireType>()[index] : throw new InputException($"--wire {name}: expected f32, f16, bf16 or int8, separated by commas.");
    }

    private static string[] Split(string list) => list.Split(',', StringSplitOptions.TrimEntries);

    private static string Json(int samples, IReadOnlyList<LeakageScore> scores) => JsonSerializer.Serialize(
        new
        {
            Samples = samples,
            Scores = scores.Select(score => new
            {
                score.Cut, WireType = score.WireType.Name(), score.Tokens, score.RecoveredAlone, score.RecoveredInSequence, score.ShareAlone, score.ShareInSequence,
            }),
        },
        s_json);

    private static void Show(IAnsiConsole console, int samples, WireType[] wireTypes, IReadOnlyList<LeakageScore> scores)
    {
        console.WriteLine($"Tokens read back from the activations of {samples} held-out samples ({scores[0].Tokens} tokens):");
        var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey).AddColumn("cut", column => column.RightAligned());
        foreach (var type in wireTypes)
        {
            table.AddColumn($"{type.Name()} alone", column => column.RightAligned()).AddColumn($"{type.Name()} in sequence", column => column.RightAligned());
        }

        foreach (var cut in scores.GroupBy(score => score.Cut))
        {
            table.AddRow([$"{cut.Key}", .. cut.SelectMany(score => new[] { Quantity.Percent(score.ShareAlone), Quantity.Percent(score.ShareInSequence) })]);
        }

        console.Write(table);
        console.WriteLine("alone: nearest to a single token's state at the position; in sequence: trying tokens behind those read before. See docs/privacy.md.");
    }
}
