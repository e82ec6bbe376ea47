using TorchSharp;

namespace SplitFrozen.Torch.Kernels;

/// <summary>Splits rows over as many threads as torch may use on the calling thread.</summary>
internal static class KernelThreads
{
    // Below this many elements a second thread costs more than it brings.
    private const long ElementsWorthAThread = 1 << 17;

    /// <summary>Runs <paramref name="body"/> over disjoint ranges that cover <c>[0, rows)</c>; each row's result is its own.</summary>
    internal static void For(long rows, long elementsPerRow, Action<long, long> body)
    {
        var parts = Math.Min(Math.Min(torch.get_num_threads(), rows), 1 + (rows * elementsPerRow / ElementsWorthAThread));
        if (parts <= 1)
        {
            body(0, rows);
            return;
        }

        var options = new ParallelOptions { MaxDegreeOfParallelism = (int)parts };
        _ = Parallel.For(0, parts, options, part => body(rows * part / parts, rows * (part + 1) / parts));
    }
}
