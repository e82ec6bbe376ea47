namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>
/// The heart of a discrete-event simulation: things happen in the order of their virtual time, and those of the same time in the order in
/// which they were asked for, so that a simulation is the same in every run.
/// </summary>
internal sealed class VirtualClock
{
    private readonly PriorityQueue<Action, (double Time, long Order)> _events = new();
    private long _order;

    /// <summary>Virtual seconds since the beginning.</summary>
    internal double Now { get; private set; }

    /// <summary>Lets something happen after some seconds, at least 0.</summary>
    internal void After(double seconds, Action happen)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(seconds);
        _events.Enqueue(happen, (Now + seconds, _order++));
    }

    /// <summary>Runs until nothing is left to happen.</summary>
    internal void Run()
    {
        while (_events.TryDequeue(out var happen, out var at))
        {
            Now = at.Time;
            happen();
        }
    }
}
