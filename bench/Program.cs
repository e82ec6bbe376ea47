using SplitFrozen.Bench;

if (args is ["training-step"])
{
    await TrainingStep.RunAsync(Console.Out).ConfigureAwait(false);
    return 0;
}

if (args is ["simulator"])
{
    await SimulatorCheck.RunAsync(Console.Out).ConfigureAwait(false);
    return 0;
}

await Console.Error.WriteLineAsync(
    "Usage: dotnet run -c Release --project bench -- <benchmark>\n"
    + "  training-step   a LoRA step of GPT-2-small shapes as a share of the machine's own rate for linear layers\n"
    + "  simulator       the simulated time of a run over processes, from the measured rates of its parts, against the real one").ConfigureAwait(false);
return 2;
