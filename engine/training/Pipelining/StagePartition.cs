namespace SplitFrozen.Training.Pipelining;

/// <summary>Cuts the trained blocks into stages.</summary>
public static class StagePartition
{
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
