namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>A resource that does one thing at a time to its end; of what waits, the lowest priority number first, then what came first.</summary>
internal sealed class Station(VirtualClock clock, List<Activity> timeline, string name)
{
    private readonly PriorityQueue<Job, (long Priority, long Order)> _waiting = new();
    private long _order;
    private bool _busy;

    /// <summary>Asks for some seconds of the resource.</summary>
    internal void Submit(Job job, long priority = 0)
    {
        _waiting.Enqueue(job, (priority, _order++));
        StartNext();
    }

    private void StartNext()
    {
        if (_busy || !_waiting.TryDequeue(out var job, out _))
        {
            return;
        }

        _busy = true;
        var start = clock.Now;
        clock.After(job.Seconds, () =>
        {
            _busy = false;
            if (job.Seconds > 0)
            {
                timeline.Add(new Activity(name, job.Kind, job.Client, job.Step, start, clock.Now));
            }

            job.Done();
            StartNext();
        });
    }
}

/// <summary>Work for a station.</summary>
/// <param name="Seconds">How long it takes.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Client">For which client; −1 for all.</param>
/// <param name="Step">For which step.</param>
/// <param name="Done">What follows.</param>
internal sealed record Job(double Seconds, ActivityKind Kind, int Client, int Step, Action Done);
