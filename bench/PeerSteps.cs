using System.Diagnostics;
using System.Globalization;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.TestServers;
using SplitFrozen.Torch;

namespace SplitFrozen.Bench;

/// <summary>
/// Tokens a second of one training step, device's and server's work both counted on one thread, against plain PyTorch doing the same server step, and
/// SplitLoRA's step, on this machine in turn. Here a device runs its six frozen blocks forward once, and in later epochs not at all.
/// </summary>
internal static class PeerSteps
{
    private const int Turns = 3;
    private const int Rounds = 3;
    private const int Threads = 1;
    private const int Epochs = 3;

    /// <summary>Work of the peer's linear layer, 1024 x 768 by 768 x 3072, in GFLOP.</summary>
    private const double LinearGigaflops = 2.0 * 1024 * 768 * 3072 / 1e9;

    /// <summary>A PyTorch whose linear layer is slower than this share of ours has no fast BLAS, and is no peer.</summary>
    private const double LeastRate = 0.5;

    private static readonly string[] s_interpreters = ["/usr/bin/python3", "python3"];

    internal static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        var output = report.Output;
        if (await InterpreterAsync(cancellationToken).ConfigureAwait(false) is not { } python)
        {
            await output.WriteLineAsync("peers: no Python with PyTorch is here; on Debian, apt-get install python3-torch libopenblas0-pthread").ConfigureAwait(false);
            return;
        }

        await output.WriteLineAsync($"peers: GPT-2-small shapes, 8 x 128 tokens, boundary 6 of 12, LoRA r = 8 on c_attn, f32, {Threads} thread; {Machine.Description}").ConfigureAwait(false);
        using (var compute = new ComputeThread("bench-linear", Threads))
        {
            var own = await compute.RunAsync(LinearRate.MeasureGigaflopsPerSecond, cancellationToken).ConfigureAwait(false);
            var peer = LinearGigaflops / Machine.Median(await PeerAsync(python, "linear", cancellationToken).ConfigureAwait(false)) * 1e3;
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"a linear layer: PyTorch {peer:F0} GFLOP/s, here {own:F0}")).ConfigureAwait(false);
            if (peer < LeastRate * own)
            {
                throw new InvalidOperationException("This PyTorch has no fast BLAS, so it would be a weak peer; on Debian, apt-get install libopenblas0-pthread.");
            }
        }

        var path = Directory.CreateTempSubdirectory("splitfrozen-bench-").FullName;
        try
        {
            ModelInitialization.Write(path, TrainingStep.Config, seed: 1);
            var busy = Machine.Watch();
            var (server, device, int8, upper, splitLora) = (new List<double>(), new List<double>(), new List<double>(), new List<double>(), new List<double>());
            for (var turn = 0; turn < Turns; turn++)
            {
                using (var compute = new ComputeThread("bench-peers", Threads))
                {
                    server.AddRange(await compute.RunAsync(() => Steps(path), cancellationToken).ConfigureAwait(false));
                    device.AddRange(await compute.RunAsync(() => Forwards(path, FrozenWeights.Float32), cancellationToken).ConfigureAwait(false));
                    int8.AddRange(await compute.RunAsync(() => Forwards(path, FrozenWeights.Int8), cancellationToken).ConfigureAwait(false));
                }

                upper.AddRange(await PeerAsync(python, "upper", cancellationToken).ConfigureAwait(false));
                splitLora.AddRange(await PeerAsync(python, "splitlora", cancellationToken).ConfigureAwait(false));
            }

            var had = busy.CpuHad();
            var medians = new Medians(Machine.Median(server), Machine.Median(device), Machine.Median(int8), Machine.Median(upper), Machine.Median(splitLora));
            await ReportAsync(report, medians, had).ConfigureAwait(false);
            await output.WriteLineAsync($"medians of {Turns * Rounds} in {Turns} turns; CPU had: {had:P0}").ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>Milliseconds of server steps. Runs on the compute thread.</summary>
    private static double[] Steps(string path)
    {
        using var folder = ModelFolder.Open(path);
        return TrainingStep.Milliseconds(folder, Rounds);
    }

    /// <summary>Milliseconds of a device's frozen forward of the same tokens. Runs on the compute thread.</summary>
    private static double[] Forwards(string path, FrozenWeights weights)
    {
        using var folder = ModelFolder.Open(path, weights);
        using var encoder = FrozenEncoder.Open(folder, TrainingStep.Config.Layers);
        using var layout = new SequenceLayout([.. TrainingStep.Lengths]);
        int[] tokens = [.. Enumerable.Range(0, TrainingStep.Lengths.Sum()).Select(token => token % TrainingStep.Config.VocabularySize)];
        var forwards = new double[Rounds + 1];
        for (var round = 0; round < forwards.Length; round++)
        {
            var clock = Stopwatch.StartNew();
            encoder.Encode(tokens, layout, TrainingStep.Config.Layers).Dispose();
            forwards[round] = clock.Elapsed.TotalMilliseconds;
        }

        return forwards[1..];
    }

    private static async Task ReportAsync(Report report, Medians medians, double had)
    {
        var output = report.Output;
        var (server, device, int8, upper, splitLora) = medians;
        report.Add("peers", "tokens a second by SplitLoRA's in PyTorch, first epoch, device and server", splitLora / (device + server), "F2", Target.AtLeast(3), had);
        report.Add("peers", "the same with int8 weights on the device", splitLora / (int8 + server), "F2", Target.AtLeast(3), had);
        report.Add("peers", $"the same over {Epochs} epochs, the device's work done once", Epochs * splitLora / (device + (Epochs * server)), "F2", Target.AtLeast(3), had);
        report.Add("peers", "the same in later epochs and runs: server alone", splitLora / server, "F2", Target.AtLeast(3), had);
        report.Add("peers", "the server's step by the same step in PyTorch", upper / server, "F2", Target.AtLeast(1), had);
        await output.WriteLineAsync("                                            step ms  tokens/s  over SplitLoRA").ConfigureAwait(false);
        await LineAsync("PyTorch, SplitLoRA: device and server", splitLora).ConfigureAwait(false);
        await LineAsync("PyTorch, server's step alone", upper).ConfigureAwait(false);
        await LineAsync("SplitFrozen, first epoch: device and server", device + server).ConfigureAwait(false);
        await LineAsync("the same, int8 weights on the device", int8 + server).ConfigureAwait(false);
        await LineAsync("SplitFrozen, later epochs: server alone", server).ConfigureAwait(false);
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"the server's step over PyTorch's own: {upper / server:F2}")).ConfigureAwait(false);

        Task LineAsync(string name, double milliseconds) => output.WriteLineAsync(string.Create(
            CultureInfo.InvariantCulture, $"{name,-43} {milliseconds,7:F0}  {TrainingStep.Lengths.Sum() / milliseconds * 1e3,8:F0}  {splitLora / milliseconds,14:F2}"));
    }

    /// <summary>Milliseconds: the server's step, a device's forward with f32 and with int8 weights, PyTorch's server step, and SplitLoRA's step.</summary>
    private readonly record struct Medians(double Server, double Device, double Int8, double Upper, double SplitLora);

    private static async Task<string?> InterpreterAsync(CancellationToken cancellationToken)
    {
        foreach (var candidate in s_interpreters)
        {
            try
            {
                if ((await PythonAsync(candidate, ["-c", "import torch"], cancellationToken).ConfigureAwait(false)).Code == 0)
                {
                    return candidate;
                }
            }
            catch (System.ComponentModel.Win32Exception)
            {
                // Not here.
            }
        }

        return null;
    }

    private static async Task<double[]> PeerAsync(string python, string step, CancellationToken cancellationToken)
    {
        var script = Path.Combine(Programs.Root, "bench", "peers", "training_step.py");
        var (code, printed) = await PythonAsync(
            python, [script, step, "--threads", Text(Threads), "--rounds", Text(Rounds)], cancellationToken).ConfigureAwait(false);
        return code == 0
            ? [.. printed.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => double.Parse(line, CultureInfo.InvariantCulture))]
            : throw new InvalidOperationException($"{script} {step} ended with {code}.");

        static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }

    private static async Task<(int Code, string Output)> PythonAsync(string python, string[] arguments, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(python, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };

        // Debian's OpenBLAS does not know every processor, and then takes the kernels of an old one.
        start.Environment["OPENBLAS_CORETYPE"] = "SkylakeX";
        start.Environment["OMP_NUM_THREADS"] = Threads.ToString(CultureInfo.InvariantCulture);
        using var process = Process.Start(start)!;
        try
        {
            var printed = process.StandardOutput.ReadToEndAsync(cancellationToken);
            var errors = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
            await errors.ConfigureAwait(false);
            return (process.ExitCode, await printed.ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw;
        }
    }
}
