using SplitFrozen.Comparison.Fleet.Costs;

namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>How SplitFrozen composes its steps.</summary>
public enum SimulatedOrder
{
    /// <summary>By the seeded plan, whatever arrives first.</summary>
    Planned,

    /// <summary>From the samples that have arrived.</summary>
    Available,
}

/// <summary>How far a method's phases may overlap.</summary>
public sealed record SimulationOptions
{
    /// <summary>
    /// SplitFrozen: devices work ahead of the trainer, up to an epoch. Without, they begin with a step's samples when the step before is
    /// trained, in planned order.
    /// </summary>
    public bool Pipelined { get; init; } = true;

    /// <summary>SplitFrozen's order of steps while devices compute; cached epochs follow the plan.</summary>
    public SimulatedOrder Order { get; init; }

    /// <summary>SplitFrozen with a cache: an earlier run has filled it.</summary>
    public bool WarmCache { get; init; }

    /// <summary>B and W of the server are separate; matters with several stages.</summary>
    public bool DecoupledBackward { get; init; } = true;

    /// <summary>SplitLoRA: clients take turns, one at a time, as in plain split learning. Without, all clients are under way at once and wait for the server in a queue.</summary>
    public bool ClientsTakeTurns { get; init; }

    /// <summary>Seed of the plan.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>What a simulation found.</summary>
/// <param name="Method">The method.</param>
/// <param name="Seconds">Virtual seconds from the first activity to the last optimiser step, or averaging.</param>
/// <param name="EpochEnds">When the last step, or averaging, of each epoch was done.</param>
/// <param name="Timeline">Every activity, by its end.</param>
public sealed record SimulatedRun(FineTuningMethod Method, double Seconds, IReadOnlyList<double> EpochEnds, IReadOnlyList<Activity> Timeline)
{
    /// <summary>Busy seconds of each resource that did anything.</summary>
    public IReadOnlyDictionary<string, double> Busy() =>
        Timeline.GroupBy(activity => activity.Resource).ToDictionary(group => group.Key, group => group.Sum(activity => activity.Seconds), StringComparer.Ordinal);
}
