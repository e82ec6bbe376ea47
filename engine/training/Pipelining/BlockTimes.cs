using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pipelining;

/// <summary>What each trained block takes on this machine, for cutting them into stages.</summary>
public static class BlockTimes
{
    private const int Sequences = 4;
    private const int LongestSequence = 64;
    private const int Repetitions = 3;

    /// <summary>
    /// Measures forward, B and W of every trained block alone over random hidden states, and of the head with the last block; the fastest of three
    /// passes counts. Runs on the calling thread, which should be a compute thread.
    /// </summary>
    /// <param name="folder">The base model.</param>
    /// <param name="options">Head and adapters of the whole.</param>
    /// <param name="time">The clock.</param>
    /// <returns>Seconds by block, F first.</returns>
    public static double[] Measure(ModelFolder folder, UpperModelOptions options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        var (first, end) = (options.Boundary, folder.Config.Layers);
        var times = new double[end - first];
        for (var block = first; block < end; block++)
        {
            // The lowest cut of the whole would load the frozen blocks below, which the trained ones do not need.
            using var model = UpperModel.Open(folder, options with { LowestCut = block, Boundary = block, End = block + 1, GradientAtBoundary = true });
            times[block - first] = Enumerable.Range(0, Repetitions).Min(_ => Pass(model, time));
        }

        return times;
    }

    private static double Pass(UpperModel model, TimeProvider time)
    {
        var length = Math.Min(LongestSequence, model.Config.MaximumPositions);
        using var layout = new SequenceLayout([.. Enumerable.Repeat(length, Sequences)]);
        using var hidden = Random(layout.Tokens, model.Config.Width);
        using var deferred = new WeightGradients();
        var labels = new int[model.Options.Head == HeadKind.LanguageModel ? layout.Tokens : Sequences];
        var started = time.GetTimestamp();
        using var pass = model.Forward(hidden, layout, labels, dropoutSeed: 0, training: true);
        if (pass.Output is null)
        {
            pass.BackwardInput(1.0, deferred);
        }
        else
        {
            pass.BackwardInput(hidden, deferred);
        }

        deferred.Run();
        return time.GetElapsedTime(started).TotalSeconds;
    }

    private static Tensor Random(int tokens, int width)
    {
        var random = SeededRandom.ForStream(0, "block-times");
        return tensor([.. Enumerable.Range(0, tokens * width).Select(_ => (float)random.NextGaussian())], [tokens, width]);
    }
}
