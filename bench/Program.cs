using System.Runtime.InteropServices;
using SplitFrozen.Bench;

Dictionary<string, (string Description, Func<TextWriter, CancellationToken, Task> RunAsync)> benchmarks = new(StringComparer.Ordinal)
{
    ["training-step"] = ("a LoRA step of GPT-2-small shapes as a share of the machine's own rate for linear layers", (output, _) => TrainingStep.RunAsync(output)),
    ["peers"] = ("tokens a second of a step, device and server, by those of plain PyTorch and of SplitLoRA in it", PeerSteps.RunAsync),
    ["ingest"] = ("the coordinator's intake as a share of bare publishing and consuming of the same bodies", IngestThroughput.RunAsync),
    ["run-time"] = ("a run over processes as a ratio to the slowest of its parts by itself", RunTime.RunAsync),
    ["simulator"] = ("the simulated time of a run over processes, from the measured rates of its parts, against the real one", (output, _) => SimulatorCheck.RunAsync(output)),
    ["stages"] = ("the bubble of pipeline stages against the formula, the gains of decomposed backward and of overlap, and the step rate of two stages", (output, _) => PipelineStages.RunAsync(output)),
    ["telemetry"] = ("a run over processes with traces, metrics and logs sent to a collector as a ratio to the same run without", TelemetryOverhead.RunAsync),
    ["device"] = ("a device worker's memory, start and forward rate with f32 and int8 weights, and the bytes that it sends", DeviceFootprint.RunAsync),
    ["clients"] = ("processor time of the coordinator for a batch with 10, 100 and 1,000 clients", ClientScaling.RunAsync),
};
string[] pipeline = ["ingest", "run-time", "clients"];
var chosen = args is ["pipeline"] ? pipeline : args;
if (chosen.Length > 0 && Array.TrueForAll(chosen, benchmarks.ContainsKey))
{
    // A benchmark that is stopped ends the processes that it started, and removes their folders.
    using var stop = new CancellationTokenSource();
    using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    try
    {
        foreach (var name in chosen)
        {
            await benchmarks[name].RunAsync(Console.Out, stop.Token).ConfigureAwait(false);
            await Console.Out.WriteLineAsync().ConfigureAwait(false);
        }

        return 0;
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        return 130;
    }

    void Stop(PosixSignalContext signal)
    {
        signal.Cancel = true;
        stop.Cancel();
    }
}

var usage = benchmarks.Select(benchmark => $"  {benchmark.Key,-14}  {benchmark.Value.Description}")
    .Append($"  {"pipeline",-14}  {string.Join(", ", pipeline)}");
await Console.Error.WriteLineAsync($"Usage: dotnet run -c Release --project bench -- <benchmark> ...\n{string.Join('\n', usage)}").ConfigureAwait(false);
return 2;
