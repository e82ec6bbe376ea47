namespace SplitFrozen.Bench;

internal static class RunTime
{
    internal static Task RunAsync(TextWriter output) => output.WriteLineAsync("x");
}
