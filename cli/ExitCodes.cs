namespace SplitFrozen.Cli;

/// <summary>What the process returns. This is the one place; the help text and the documentation repeat it.</summary>
internal static class ExitCodes
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>Something failed that the input does not explain.</summary>
    public const int Unexpected = 1;

    /// <summary>Bad input: arguments, spec, model, data. Nothing was written.</summary>
    public const int BadInput = 2;

    /// <summary>The input was good, but the run did not reach its end, for example because samples kept failing.</summary>
    public const int RunFailed = 3;

    /// <summary>Stopped by Ctrl-C or SIGTERM, with a checkpoint; the same command goes on from there.</summary>
    public const int Interrupted = 130;
}
