namespace SplitFrozen.Cli;

/// <summary>Turns an exception into one clear message on standard error and an exit code.</summary>
internal static class Failure
{
    /// <summary>Writes the message, with the stack trace only where SPLITFROZEN_DEBUG=1.</summary>
    public static int Report(Exception exception, CommandContext context)
    {
        while (exception is AggregateException { InnerExceptions: [var only] })
        {
            exception = only;
        }

        var code = CodeOf(exception, context);
        IReadOnlyList<string> lines = exception is InputException input ? input.Faults : [exception.Message];
        if (code == ExitCodes.Unexpected)
        {
            lines = [$"{exception.GetType().Name}: {exception.Message}", "This is unexpected; run again with SPLITFROZEN_DEBUG=1 for the stack trace."];
        }

        foreach (var line in code == ExitCodes.Interrupted ? [] : lines)
        {
            context.Error.WriteLine($"error: {line}");
        }

        if (context.Environment("SPLITFROZEN_DEBUG") == "1")
        {
            context.Error.WriteLine(exception);
        }

        return code;
    }

    private static int CodeOf(Exception exception, CommandContext context) => exception switch
    {
        OperationCanceledException when context.Interrupted.IsCancellationRequested => ExitCodes.Interrupted,
        InputException => ExitCodes.BadInput,
        RunFailedException => ExitCodes.RunFailed,
        _ => ExitCodes.Unexpected,
    };
}
