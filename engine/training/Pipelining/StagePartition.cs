using SplitFrozen.Models;

namespace SplitFrozen.Training.Pipelining;

/// <summary>Cuts the trained blocks into stages.</summary>
public static class StagePartition
{
    /// <summary>Boundaries that were chosen, or balanced ones by measured times of the blocks. Runs on the calling thread, which should be a compute thread.</summary>
    /// <param name="folder">The base model.</param>
    /// <param name="options">Boundary, head and adapters of the whole.</param>
    /// <param name="chosen">First block of every stage but the first; empty for balanced ones.</param>
    /// <param name="stages">Number of stages.</param>
    /// <param name="time">Clock of the measurement.</param>
    /// <returns><c>[stages + 1]</c> boundaries, the first being F and the last L.</returns>
    /// <exception cref="ArgumentException">So many stages, or these boundaries, are impossible for the model; the message says why.</exception>
    public static int[] Choose(ModelFolder folder, UpperModelOptions options, IReadOnlyList<int> chosen, int stages, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(chosen);
        var (first, end) = (options.Boundary, folder.Config.Layers);
        if (stages > end - first)
        {
            throw new ArgumentException($"The {end - first} trained blocks cannot be cut into {stages} stages: lower the number of stages or model.boundary.", nameof(stages));
        }

        if (chosen.Count == 0)
        {
            // One stage needs no measurement.
            return stages == 1 ? [first, end] : Balanced(first, BlockTimes.Measure(folder, options, time), stages);
        }

        return chosen.Count == stages - 1 && chosen.All(block => block > first && block < end)
            ? [first, .. chosen, end]
            : throw new ArgumentException(
                $"training.stage_boundaries [{string.Join(", ", chosen)}] do not cut the blocks {first} to {end - 1} into {stages} stages: name the first block of each but the lowest.", nameof(chosen));
    }

    /// <summary>
    /// First block of every stage, and the end of the last: contiguous stages of at least one block each, whose slowest is as fast as it can be;
    /// of equally good cuts, that with the shorter first stages.
    /// </summary>
    /// <param name="first">First trained block, F.</param>
    /// <param name="costs">Time of each trained block, F first, in any one unit; the head's belongs to the last.</param>
    /// <param name="stages">Number of stages, from 1 to the number of blocks.</param>
    /// <returns><c>[stages + 1]</c> boundaries, the first being F and the last L.</returns>
    public static int[] Balanced(int first, IReadOnlyList<double> costs, int stages)
    {
        ArgumentNullException.ThrowIfNull(costs);
        ArgumentOutOfRangeException.ThrowIfLessThan(stages, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(stages, costs.Count);

        // slowest[s, b]: the slowest of s stages over the first b blocks, at best; cut[s, b]: where the last of them begins.
        var slowest = new double[stages + 1, costs.Count + 1];
        var cut = new int[stages + 1, costs.Count + 1];
        for (var stage = 0; stage <= stages; stage++)
        {
            for (var blocks = 0; blocks <= costs.Count; blocks++)
            {
                slowest[stage, blocks] = stage == 0 && blocks == 0 ? 0 : double.PositiveInfinity;
                for (var begin = stage - 1; stage > 0 && begin < blocks; begin++)
                {
                    var time = Math.Max(slowest[stage - 1, begin], costs.Skip(begin).Take(blocks - begin).Sum());
                    if (time < slowest[stage, blocks])
                    {
                        (slowest[stage, blocks], cut[stage, blocks]) = (time, begin);
                    }
                }
            }
        }

        var boundaries = new int[stages + 1];
        var end = costs.Count;
        for (var stage = stages; stage >= 0; stage--)
        {
            boundaries[stage] = first + end;
            end = cut[stage, end];
        }

        return boundaries;
    }
}
