using System.CommandLine;
using System.Globalization;
using SplitFrozen.Cli.Comparison;
using SplitFrozen.Comparison.Study;
using SplitFrozen.Torch;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>compare</c>: trains the same model on the same data by several methods and reports them side by side.</summary>
internal sealed class CompareCommand
{
    private readonly Argument<string[]> _specs = new("specs") { Description = "Run specs, one a task; seed, partition and learning rate are replaced by the study's.", Arity = ArgumentArity.OneOrMore };
    private readonly Option<string[]> _set = CommonOptions.Set();
    private readonly Option<string> _methods = Listed("--methods", string.Join(',', MethodNames.All.Where(name => name != MethodKind.FedLoraStacking.Name())), $"Methods, comma-separated, of {string.Join(", ", MethodNames.All)}.");
    private readonly Option<string> _partitions = Listed("--partitions", "iid,dirichlet:1.0,dirichlet:0.1,classes:1,zipf:1.2", "Partitions, comma-separated: iid, dirichlet:ALPHA, classes:K or zipf:EXPONENT.");
    private readonly Option<string> _seeds = Listed("--seeds", "1,2,3", "Seeds, comma-separated.");
    private readonly Option<string> _rates = Listed("--learning-rates", "3e-4,1e-3,3e-3", "Learning rates that every method chooses from, on training data kept aside; a single one is taken as it is.");
    private readonly Option<int> _interval = Whole("--averaging-interval", 100, "SplitLoRA: server steps between two averagings of the clients' adapters.");
    private readonly Option<int> _localEpochs = Whole("--local-epochs", 1, "FedLoRA: epochs that a client trains between two aggregations.");
    private readonly Option<int> _parallel = Whole("--parallel", Environment.ProcessorCount, "Trainings at a time, one thread each.");
    private readonly Option<string> _out = new("--out") { Description = "Folder of results and report. Trainings that are there already are not repeated.", HelpName = "DIR", DefaultValueFactory = _ => Path.Combine("runs", "compare") };
    private readonly Option<bool> _json = CommonOptions.Json("Print the summary as JSON on standard output; progress goes to standard error.");
    private readonly CommandContext _context;

    private CompareCommand(CommandContext context) => _context = context;

    public static Command Create(CommandContext context)
    {
        var verb = new CompareCommand(context);
        var command = new Command("compare", "Train the same model on the same data by several methods, and report them side by side.") { verb._specs };
        Option[] options =
        [
            verb._set, verb._methods, verb._partitions, verb._seeds, verb._rates, verb._interval, verb._localEpochs, verb._parallel, verb._out, verb._json,
        ];
        Array.ForEach(options, command.Options.Add);
        command.SetAction((parsed, cancellationToken) => verb.RunAsync(parsed, cancellationToken));
        return command;
    }

    private static Option<string> Listed(string name, string value, string description) =>
        new(name) { Description = description, HelpName = "LIST", DefaultValueFactory = _ => value };

    private static Option<int> Whole(string name, int value, string description) =>
        new(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => value };

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var options = Options(parsed);
        using var inputs = StudyInputs.Prepare(parsed.GetRequiredValue(_specs), parsed.GetValue(_set) ?? [], options, _context.Environment);
        LibtorchLoader.Load();
        var folder = parsed.GetRequiredValue(_out);
        var store = new CellStore(Path.Combine(folder, "cells"));
        var display = new StudyDisplay(_context.Error);
        var runner = new StudyRunner(options, store, parsed.GetValue(_parallel), _context.Time);
        var study = await runner.RunAsync(inputs.Tasks, display.Show, cancellationToken).ConfigureAwait(false);

        var summary = StudySummary.Of(study, store).ToJson();
        await File.WriteAllTextAsync(Path.Combine(folder, "study.json"), summary + "\n", CancellationToken.None).ConfigureAwait(false);
        StudyReport.Write(study, StudyReport.Sections(_context.CommandLine())).WriteTo(folder);
        await _context.Output.WriteLineAsync(parsed.GetValue(_json) ? summary : $"written: {Path.Combine(folder, "report.md")} and report.html").ConfigureAwait(false);
        return ExitCodes.Success;
    }

    private StudyOptions Options(ParseResult parsed)
    {
        var faults = new List<string>();
        var options = new StudyOptions
        {
            Methods = Items<MethodKind>(parsed, _methods, MethodNames.TryParse, $"some of {string.Join(", ", MethodNames.All)}", faults),
            Partitions = Items<PartitionChoice>(parsed, _partitions, PartitionChoice.TryParse!, "iid, dirichlet:ALPHA, classes:K or zipf:EXPONENT", faults),
            Seeds = Items<long>(parsed, _seeds, (string text, out long seed) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out seed) && seed > 0, "whole numbers of at least 1; 0 is the search's", faults),
            LearningRates = Items<double>(parsed, _rates, PositiveNumber, "numbers greater than 0", faults),
            AveragingInterval = AtLeastOne(parsed, _interval, faults),
            LocalEpochs = AtLeastOne(parsed, _localEpochs, faults),
        };
        _ = AtLeastOne(parsed, _parallel, faults);
        return faults.Count == 0 ? options : throw new InputException(faults);
    }

    private delegate bool Parser<T>(string text, out T value);

    private static bool PositiveNumber(string text, out double value) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && double.IsFinite(value) && value > 0;

    private static List<T> Items<T>(ParseResult parsed, Option<string> option, Parser<T> parser, string expected, List<string> faults)
    {
        var items = new List<T>();
        foreach (var text in parsed.GetRequiredValue(option).Split(',', StringSplitOptions.TrimEntries))
        {
            if (!parser(text, out var item))
            {
                faults.Add($"{option.Name}: found '{text}'; expected {expected}.");
            }
            else if (items.Contains(item))
            {
                faults.Add($"{option.Name}: '{text}' is there twice.");
            }
            else
            {
                items.Add(item);
            }
        }

        return items;
    }

    private static int AtLeastOne(ParseResult parsed, Option<int> option, List<string> faults)
    {
        var value = parsed.GetValue(option);
        if (value < 1)
        {
            faults.Add($"{option.Name}: found {value}; expected at least 1.");
        }

        return value;
    }
}
