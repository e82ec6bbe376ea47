using System.CommandLine;
using SplitFrozen.Cli.Commands;

namespace SplitFrozen.Cli;

/// <summary>The <c>splitfrozen</c> command: parses the arguments, runs a verb, turns exceptions into one message and an exit code.</summary>
internal static class SplitFrozenCommand
{
    private const string Description =
        """
        SplitFrozen fine-tunes a language model on data that stays on many unequal devices: the devices run the frozen
        lower blocks, the server trains LoRA adapters in the upper ones.

        Exit codes: 0 done, 1 unexpected failure, 2 bad input (nothing was written), 3 the run failed,
        130 interrupted (a checkpoint was written; the same command goes on).
        Set SPLITFROZEN_DEBUG=1 to see stack traces.
        """;

    /// <summary>Runs one command line.</summary>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, CommandContext context)
    {
        context = context with { Arguments = arguments };
        var root = new RootCommand(Description)
        {
            RunCommand.Create(context),
            CompareCommand.Create(context),
            InspectCommand.Create(context),
            PretrainCommand.Create(context),
            EvalCommand.Create(context),
            ExportCommand.Create(context),
            ConvertCommand.Create(context),
            GenerateCommand.Create(context),
            LeakageCommand.Create(context),
            ScheduleCommand.Create(context),
            DeviceCommand.Create(context),
            TokenCommand.Create(context),
        };
        foreach (var command in RemoteCommands.Create(context))
        {
            root.Add(command);
        }

        HelpExamples.Attach(root);
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            await ReportAsync(parsed, context).ConfigureAwait(false);
            return ExitCodes.BadInput;
        }

        var configuration = new InvocationConfiguration
        {
            Output = context.Output,
            Error = context.Error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        };
        try
        {
            return await parsed.InvokeAsync(configuration, context.Interrupted).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            return Failure.Report(exception, context);
        }
    }

    private static async Task ReportAsync(ParseResult parsed, CommandContext context)
    {
        var command = parsed.CommandResult.Command;
        IEnumerable<string> faults = command is RootCommand && parsed.UnmatchedTokens is [var verb, ..]
            ? [$"unknown command '{verb}'; there are {string.Join(", ", command.Subcommands.Select(c => c.Name))}."]
            : parsed.Errors.Select(error => error.Message);
        foreach (var fault in faults)
        {
            await context.Error.WriteLineAsync($"error: {fault}").ConfigureAwait(false);
        }

        var name = command is RootCommand ? "" : command.Name + " ";
        await context.Error.WriteLineAsync($"See: splitfrozen {name}--help").ConfigureAwait(false);
    }
}
