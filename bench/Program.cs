using System.Runtime.InteropServices;
using SplitFrozen.Bench;

Dictionary<string, (string Description, Func<Report, CancellationToken, Task> RunAsync)> benchmarks = new(StringComparer.Ordinal)
{
    ["training-step"] = ("a LoRA step of GPT-2-small shapes as a share of the machine's own rate for linear layers", (report, _) => TrainingStep.RunAsync(report)),
    ["peers"] = ("tokens a second of a step, device and server, by those of plain PyTorch and of SplitLoRA in it", PeerSteps.RunAsync),
    ["ingest"] = ("the coordinator's intake as a share of bare publishing and consuming of the same bodies", IngestThroughput.RunAsync),
    ["run-time"] = ("a run over processes as a ratio to the slowest of its parts by itself", RunTime.RunAsync),
    ["simulator"] = ("the simulated time of a run over processes, from the measured rates of its parts, against the real one", (report, _) => SimulatorCheck.RunAsync(report)),
    ["stages"] = ("the bubble of pipeline stages against the formula, the gains of decomposed backward and of overlap, and the step rate of two stages", (report, _) => PipelineStages.RunAsync(report)),
    ["telemetry"] = ("a run over processes with traces, metrics and logs sent to a collector as a ratio to the same run without", TelemetryOverhead.RunAsync),
    ["device"] = ("a device worker's memory, start and forward rate with f32 and int8 weights, and the bytes that it sends", DeviceFootprint.RunAsync),
    ["load"] = ("1,000 device workers on one coordinator for half an hour: memory, cost of a batch, fairness", (report, token) => LoadTest.RunAsync(report, devices: 1000, TimeSpan.FromMinutes(30), token)),
    ["short-load"] = ("the same with 200 devices for three minutes", (report, token) => LoadTest.RunAsync(report, devices: 200, TimeSpan.FromMinutes(3), token)),
    ["clients"] = ("processor time of the coordinator for a batch with 10, 100 and 1,000 clients", ClientScaling.RunAsync),
};
string[] pipeline = ["ingest", "run-time", "clients"];
string[] all = ["training-step", "peers", "stages", "device", .. pipeline, "telemetry", "short-load"];
var chosen = args is ["pipeline"] ? pipeline : args is ["all"] ? all : args;
if (chosen.Length > 0 && Array.TrueForAll(chosen, benchmarks.ContainsKey))
{
    // A benchmark that is stopped ends the processes that it started, and removes their folders.
    using var stop = new CancellationTokenSource();
    using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    try
    {
        // With several, their lines are the log, and the table is the result.
        var report = new Report(chosen.Length > 1 ? Console.Error : Console.Out);
        foreach (var name in chosen)
        {
            await benchmarks[name].RunAsync(report, stop.Token).ConfigureAwait(false);
            await report.Output.WriteLineAsync().ConfigureAwait(false);
        }

        if (report.HasFigures)
        {
            await Console.Out.WriteAsync(await report.TableAsync().ConfigureAwait(false)).ConfigureAwait(false);
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
    .Append($"  {"pipeline",-14}  {string.Join(", ", pipeline)}")
    .Append($"  {"all",-14}  {string.Join(", ", all)}: the table of their figures on the output, their lines on the error output");
await Console.Error.WriteLineAsync($"Usage: dotnet run -c Release --project bench -- <benchmark> ...\n{string.Join('\n', usage)}").ConfigureAwait(false);
return 2;
