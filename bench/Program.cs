using SplitFrozen.Bench;

Dictionary<string, (string Description, Func<TextWriter, Task> RunAsync)> benchmarks = new(StringComparer.Ordinal)
{
    ["training-step"] = ("a LoRA step of GPT-2-small shapes as a share of the machine's own rate for linear layers", TrainingStep.RunAsync),
    ["ingest"] = ("the coordinator's intake as a share of bare publishing and consuming of the same bodies", IngestThroughput.RunAsync),
    ["run-time"] = ("a run over processes as a ratio to the slowest of its parts by itself", RunTime.RunAsync),
    ["clients"] = ("processor time of the coordinator for a batch with 10, 100 and 1,000 clients", ClientScaling.RunAsync),
};
string[] pipeline = ["ingest", "run-time", "clients"];
var chosen = args is ["pipeline"] ? pipeline : args;
if (chosen.Length > 0 && Array.TrueForAll(chosen, benchmarks.ContainsKey))
{
    foreach (var name in chosen)
    {
        await benchmarks[name].RunAsync(Console.Out).ConfigureAwait(false);
        await Console.Out.WriteLineAsync().ConfigureAwait(false);
    }

    return 0;
}

var usage = benchmarks.Select(benchmark => $"  {benchmark.Key,-14}  {benchmark.Value.Description}")
    .Append($"  {"pipeline",-14}  {string.Join(", ", pipeline)}");
await Console.Error.WriteLineAsync($"Usage: dotnet run -c Release --project bench -- <benchmark> ...\n{string.Join('\n', usage)}").ConfigureAwait(false);
return 2;
