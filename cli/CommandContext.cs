namespace SplitFrozen.Cli;

/// <summary>What a command may know of the world outside: the three things that a test replaces, and time.</summary>
internal sealed record CommandContext
{
    /// <summary>Standard output.</summary>
    public required TextWriter Output { get; init; }

    /// <summary>Standard error: faults and notices.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>True where a person watches: the display may then redraw itself.</summary>
    public bool IsTerminal { get; init; }

    /// <summary>Reads an environment variable; null when unset.</summary>
    public Func<string, string?> Environment { get; init; } = System.Environment.GetEnvironmentVariable;

    /// <summary>Time.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Cancelled by Ctrl-C or SIGTERM: checkpoint and stop.</summary>
    public CancellationToken Interrupted { get; init; }

    /// <summary>The arguments, for the report's exact command.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];
}

/// <summary>How commands write tables and displays.</summary>
internal static class CommandConsole
{
    private const int WidthWithoutTerminal = 140;

    /// <summary>A console on standard output: colours and redrawing only on a terminal.</summary>
    public static Spectre.Console.IAnsiConsole Console(this CommandContext context)
    {
        var console = Spectre.Console.AnsiConsole.Create(new Spectre.Console.AnsiConsoleSettings
        {
            Out = new Spectre.Console.AnsiConsoleOutput(context.Output),
            Ansi = context.IsTerminal ? Spectre.Console.AnsiSupport.Detect : Spectre.Console.AnsiSupport.No,
            ColorSystem = context.IsTerminal ? Spectre.Console.ColorSystemSupport.Detect : Spectre.Console.ColorSystemSupport.NoColors,
            Interactive = context.IsTerminal ? Spectre.Console.InteractionSupport.Detect : Spectre.Console.InteractionSupport.No,
        });
        if (!context.IsTerminal)
        {
            console.Profile.Width = WidthWithoutTerminal;
        }

        return console;
    }

    /// <summary>The command as the user can repeat it in a shell.</summary>
    public static string CommandLine(this CommandContext context) => "splitfrozen " + string.Join(' ', context.Arguments.Select(Quoted));

    private static string Quoted(string argument) =>
        argument.All(c => char.IsAsciiLetterOrDigit(c) || "-_./=:,@%+".Contains(c, StringComparison.Ordinal))
            ? argument
            : "'" + argument.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}
