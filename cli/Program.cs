using SplitFrozen.Cli;

using var interrupt = new InterruptSignal(Console.Error);
return await CommandLine.RunAsync(args, new CommandContext
{
    Output = Console.Out,
    Error = Console.Error,
    IsTerminal = !Console.IsOutputRedirected,
    Interrupted = interrupt.Token,
});
