using System.Diagnostics;
using static TorchSharp.torch;

namespace SplitFrozen.Torch;

/// <summary>How fast this machine multiplies matrices; device workers tell it to the coordinator.</summary>
public static class LinearRate
{
    private const int Rows = 256;
    private const int Width = 768;
    private const int Rounds = 5;

    /// <summary>
    /// GFLOP/s of f32 products <c>[256, 768] × [768, 768]</c>, the best of a few, on the calling compute thread. Takes some
    /// 50 ms on a slow core.
    /// </summary>
    public static double MeasureGigaflopsPerSecond()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (x, weight) = (ones([Rows, Width]), ones([Width, Width]));
        _ = x.mm(weight);
        var best = TimeSpan.MaxValue;
        for (var round = 0; round < Rounds; round++)
        {
            var started = Stopwatch.GetTimestamp();
            _ = x.mm(weight);
            var elapsed = Stopwatch.GetElapsedTime(started);
            best = elapsed < best ? elapsed : best;
        }

        return 2.0 * Rows * Width * Width / Math.Max(best.TotalSeconds, 1e-9) / 1e9;
    }
}
