using System.CommandLine;
using System.Text.Json;
using Spectre.Console;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Inspection;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>inspect</c>: what is in an adapter, a checkpoint, a captured message, a model or a run folder.</summary>
internal static class InspectCommand
{
    public static Command Create(CommandContext context)
    {
        var path = new Argument<string>("path") { Description = "An adapter, model or run folder, a checkpoint, a captured message, or any .safetensors file." };
        var json = CommonOptions.Json();
        var command = new Command("inspect", "Show what a file or folder holds: configuration, metadata, tensors.") { path, json };
        command.SetAction(parsed =>
        {
            var result = Inspector.Inspect(parsed.GetRequiredValue(path));
            if (parsed.GetValue(json))
            {
                context.Output.WriteLine(JsonSerializer.Serialize(result, InspectionJson.Default.InspectionResult));
            }
            else
            {
                Show(context.Console(), result);
            }

            return ExitCodes.Success;
        });
        return command;
    }

    private static void Show(IAnsiConsole console, InspectionResult result)
    {
        console.Write(new Text($"{result.Kind}: {result.Path}\n", new Style(decoration: Decoration.Bold)));
        var facts = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        foreach (var (name, value) in result.Facts)
        {
            facts.AddRow(new Text(name, new Style(Color.Grey)), new Text(value));
        }

        console.Write(facts);
        if (result.Tensors.Count == 0)
        {
            return;
        }

        var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
        table.AddColumn("tensor").AddColumn("type").AddColumn("shape").AddColumn("bytes", column => column.RightAligned());
        foreach (var tensor in result.Tensors)
        {
            table.AddRow(new Text(tensor.Name), new Text(tensor.Type), new Text($"[{string.Join(", ", tensor.Shape)}]"), new Text(Quantity.Bytes(tensor.Bytes)));
        }

        console.Write(table);
    }
}
