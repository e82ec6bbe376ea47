using SplitFrozen.Models;

namespace SplitFrozen.Training.Pipelining;

/// <summary>A stage's place in its pipeline.</summary>
/// <param name="Stage">The stage, from 0.</param>
/// <param name="Boundaries">First block of every stage and the end of the last.</param>
public sealed record StagePlace(int Stage, IReadOnlyList<int> Boundaries)
{
    /// <summary>Whether the stage has the head.</summary>
    public bool IsLast => Stage == Boundaries.Count - 2;

    /// <summary>The part of a model's options that is the stage's.</summary>
    /// <param name="whole">Options of the whole.</param>
    public UpperModelOptions Options(UpperModelOptions whole)
    {
        ArgumentNullException.ThrowIfNull(whole);
        return Stage == 0
            ? whole with { End = Boundaries[1] }
            : whole with { LowestCut = Boundaries[Stage], Boundary = Boundaries[Stage], End = Boundaries[Stage + 1], GradientAtBoundary = true };
    }
}
