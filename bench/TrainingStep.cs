using System.Diagnostics;
using System.Globalization;
using System.Text;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Bench;

/// <summary>
/// One training step of the server's part of GPT-2 small: 8 sequences of 128 tokens through the six blocks above boundary 6,
/// LoRA of rank 8 on <c>c_attn</c>, a two-class head, random weights; forward, B, W and AdamW. Its rate counts useful
/// operations only, and is set against that of <c>linear</c> on this machine, measured in turn with it.
/// </summary>
internal static class TrainingStep
{
    private const int Rounds = 9;
    private const int Rank = 8;
    private const int Blocks = 6;

    private static readonly int[] _lengths = [.. Enumerable.Repeat(128, 8)];

    /// <summary>Tokens of each sequence of a step.</summary>
    internal static IReadOnlyList<int> Lengths => _lengths;

    // Twelve blocks with boundary 6 and six blocks with boundary 0 train the same; the lower half would only take disk space.
    internal static TransformerConfig Config { get; } = new()
    {
        Family = ModelFamily.Gpt2, Layers = Blocks, Width = 768, Heads = 12, KeyValueHeads = 12, HeadWidth = 64, InnerWidth = 3072,
        VocabularySize = 1024, MaximumPositions = 128, NormEpsilon = 1e-5, TieWordEmbeddings = true,
    };

    /// <summary>What trains.</summary>
    internal static UpperModelOptions Options { get; } = new()
    {
        LowestCut = 0, Boundary = 0, Head = HeadKind.Classification, Classes = 2, Seed = 1, Lora = new LoraConfig(Rank, 2 * Rank, 0, ["c_attn"], RankStabilized: false),
    };

    internal static async Task RunAsync(Report report)
    {
        var output = report.Output;
        var path = Directory.CreateTempSubdirectory("splitfrozen-bench-").FullName;
        try
        {
            ModelInitialization.Write(path, Config, seed: 1);
            await output.WriteLineAsync($"training step: GPT-2-small shapes, {_lengths.Length} x {_lengths[0]} tokens, {Blocks} blocks, LoRA r = {Rank} on c_attn, f32").ConfigureAwait(false);
            await output.WriteLineAsync($"useful work: {UsefulFlops() / 1e9:F1} GFLOP per step; medians of {Rounds}").ConfigureAwait(false);
            await output.WriteLineAsync().ConfigureAwait(false);
            await output.WriteLineAsync("threads  step ms  forward     B     W  AdamW  tokens/s  GFLOP/s  linear 768>768  768>3072   share  CPU had").ConfigureAwait(false);
            foreach (var threads in new[] { 1, 2 })
            {
                using var compute = new ComputeThread($"bench-{threads}", threads);
                await output.WriteLineAsync(await compute.RunAsync(() => Measure(path, threads, report)).ConfigureAwait(false)).ConfigureAwait(false);
            }

            await output.WriteLineAsync().ConfigureAwait(false);
            using (var compute = new ComputeThread("bench-profile", 1))
            {
                await output.WriteLineAsync(await compute.RunAsync(() => Profile(path, report)).ConfigureAwait(false)).ConfigureAwait(false);
            }

            await output.WriteLineAsync("share: step rate over the mean of the two linear rates. CPU had: share of its threads' time; below 95 % the machine was busy.").ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>Milliseconds of some steps, after one that makes it warm. Runs on a compute thread.</summary>
    internal static double[] Milliseconds(ModelFolder folder, int rounds)
    {
        using var step = new Step(folder);
        step.Run(new double[4]);
        return [.. Enumerable.Range(0, rounds).Select(_ => step.Run(new double[4]))];
    }

    /// <summary>Where a step's time goes, on one thread. Runs on a compute thread.</summary>
    private static string Profile(string path, Report report)
    {
        using var folder = ModelFolder.Open(path);
        using var step = new Step(folder);
        step.Run(new double[4]);
        var watch = Machine.Watch();
        var alone = Machine.Median(Enumerable.Range(0, Rounds).Select(_ => step.Run(new double[4])));
        var times = PhaseTimes.Start();
        for (var round = 0; round < Rounds; round++)
        {
            step.Run(new double[4]);
        }

        times.Stop();
        var text = new StringBuilder("where a step's time goes, one thread           ms   share\n");
        foreach (var (phase, spent) in times.Spent.OrderByDescending(phase => phase.Value))
        {
            var milliseconds = spent.TotalMilliseconds / Rounds;
            text.AppendLine(CultureInfo.InvariantCulture, $"{phase,-40}  {milliseconds,7:F1}  {milliseconds / alone,6:P1}");
        }

        var named = times.Spent.Where(phase => phase.Key != PhaseTimes.Rest).Sum(phase => phase.Value.TotalMilliseconds) / Rounds / alone;
        report.Add("training-step", "share of a step's time that has a name in its profile", named, "P0", Target.AtLeast(0.95), watch.CpuHad());
        return text.AppendLine(CultureInfo.InvariantCulture, $"{"all that has a name, by a step that is not profiled",-49}  {named,6:P1}").ToString();
    }

    private static string Measure(string path, int threads, Report report)
    {
        using var folder = ModelFolder.Open(path);
        using var bench = new Step(folder);
        using var narrow = new Linear(768);
        using var wide = new Linear(3072);
        bench.Run(new double[4]);
        var (steps, parts) = (new double[Rounds], new double[4]);
        var (narrowRates, wideRates) = (new double[Rounds], new double[Rounds]);
        var (clock, processor) = (Stopwatch.StartNew(), Process.GetCurrentProcess().TotalProcessorTime);
        for (var round = 0; round < Rounds; round++)
        {
            narrowRates[round] = narrow.GigaflopsPerSecond();
            steps[round] = bench.Run(parts);
            wideRates[round] = wide.GigaflopsPerSecond();
        }

        var had = (Process.GetCurrentProcess().TotalProcessorTime - processor).TotalSeconds / clock.Elapsed.TotalSeconds / threads;
        var milliseconds = Machine.Median(steps);
        var rate = UsefulFlops() / milliseconds / 1e6;
        var (narrowRate, wideRate) = (Machine.Median(narrowRates), Machine.Median(wideRates));
        var share = rate / ((narrowRate + wideRate) / 2);
        report.Add("training-step", $"rate of a step by that of linear layers, {threads} {(threads == 1 ? "thread" : "threads")}", share, "P0", Target.AtLeast(threads == 1 ? 0.9 : 0.85), had);
        return $"{threads,7}  {milliseconds,7:F0}  {parts[0] / Rounds,7:F0}  {parts[1] / Rounds,4:F0}  {parts[2] / Rounds,4:F0}  {parts[3] / Rounds,5:F1}  "
            + $"{_lengths.Sum() / milliseconds * 1e3,8:F0}  {rate,7:F0}  {narrowRate,14:F0}  {wideRate,8:F0}  {share,6:P0}  {Math.Min(had, 1),7:P0}";
    }

    // Forward: every linear layer and attention, but behind the last attention only the classified rows. B: the same again for
    // input gradients (twice for attention), but nothing below the lowest adapter. Adapters: x Aᵀ and u Bᵀ, their input gradients, dA and dB.
    private static double UsefulFlops()
    {
        double tokens = _lengths.Sum(), width = Config.Width;
        var queryKeyValue = 2 * tokens * width * 3 * width;
        var rest = ModelFlops.LinearForward(Config, _lengths) - queryKeyValue;
        var attention = (double)ModelFlops.AttentionForward(Config, _lengths);
        var lastRows = rest * _lengths.Length / tokens;
        var forward = (Blocks * (queryKeyValue + attention)) + ((Blocks - 1) * rest) + lastRows;
        var backward = (Blocks * 2 * attention) + ((Blocks - 1) * (queryKeyValue + rest)) + lastRows;
        var adapters = Blocks * 3 * 2 * tokens * Rank * (width + (3 * width));
        return forward + backward + adapters;
    }

    private sealed class Linear(long outWidth) : IDisposable
    {
        private readonly Tensor _x = randn(1024, 768);
        private readonly Tensor _weight = randn(outWidth, 768);

        internal double GigaflopsPerSecond()
        {
            const int Repeats = 5;
            using var noGradient = no_grad();
            var clock = Stopwatch.StartNew();
            for (var i = 0; i < Repeats; i++)
            {
                nn.functional.linear(_x, _weight).Dispose();
            }

            return Repeats * 2.0 * 1024 * 768 * outWidth / clock.Elapsed.TotalSeconds / 1e9;
        }

        public void Dispose()
        {
            _x.Dispose();
            _weight.Dispose();
        }
    }

    private sealed class Step : IDisposable
    {
        private readonly UpperModel _model;
        private readonly SequenceLayout _layout = new(_lengths);
        private readonly Tensor _hidden = randn(_lengths.Sum(), Config.Width);
        private readonly WeightGradients _deferred = new();
        private readonly AdamW _optimizer;
        private readonly int[] _labels = [.. Enumerable.Range(0, _lengths.Length).Select(sequence => sequence % 2)];

        internal Step(ModelFolder folder)
        {
            _model = UpperModel.Open(folder, Options);
            _optimizer = AdamW.Over(_model.FlatValues, _model.FlatGradients, _model.Parameters, new AdamWOptions());
        }

        /// <summary>Milliseconds of one step; those of its four parts are added to <paramref name="parts"/>.</summary>
        internal double Run(double[] parts)
        {
            var clock = Stopwatch.StartNew();
            using var pass = _model.Forward(_hidden, _layout, _labels, dropoutSeed: 1, training: true);
            var forward = clock.Elapsed.TotalMilliseconds;
            pass.BackwardInput(1, _deferred);
            var input = clock.Elapsed.TotalMilliseconds;
            _deferred.Run();
            var weights = clock.Elapsed.TotalMilliseconds;
            _optimizer.Step(1e-4);
            var total = clock.Elapsed.TotalMilliseconds;
            (parts[0], parts[1], parts[2], parts[3]) = (parts[0] + forward, parts[1] + input - forward, parts[2] + weights - input, parts[3] + total - weights);
            return total;
        }

        public void Dispose()
        {
            _optimizer.Dispose();
            _deferred.Dispose();
            _layout.Dispose();
            _hidden.Dispose();
            _model.Dispose();
        }
    }
}
