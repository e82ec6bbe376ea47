using SplitFrozen.Cli;

using var interrupt = new InterruptSignal();
return await SplitFrozenCommand.RunAsync(args, new CommandContext
{
    Output = Console.Out,
    Error = Console.Error,
    IsTerminal = !Console.IsOutputRedirected,
    Interrupted = interrupt.Token,
});
