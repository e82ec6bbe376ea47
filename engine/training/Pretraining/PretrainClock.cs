namespace SplitFrozen.Training.Pretraining;

/// <summary>Measures training time over resumed processes, speed within this one, and where a time budget stands.</summary>
internal sealed class PretrainClock(TimeProvider time, PretrainOptions options, TimeSpan before)
{
    private readonly long _start = time.GetTimestamp();
    private TimeSpan _excluded;
    private int _steps;

    /// <summary>Training time so far, earlier processes included.</summary>
    public TimeSpan Elapsed => before + Here;

    /// <summary>Whether the time budget is used up.</summary>
    public bool IsUp => options.TimeBudget is { } budget && Elapsed >= budget;

    public double TokensPerSecond => _steps * options.TokensPerStep / Math.Max(Here.TotalSeconds, 1e-9);

    private TimeSpan Here => time.GetElapsedTime(_start) - _excluded;

    public void StepDone() => _steps++;

    /// <summary>The step at which the schedule stands: the time's share of all steps, where the time runs ahead of the steps.</summary>
    public double SchedulePosition(int step) =>
        options.TimeBudget is { } budget ? Math.Max(step, options.TotalSteps * (Elapsed / budget)) : step;

    public TimeSpan Remaining(int step)
    {
        var bySteps = _steps == 0 ? TimeSpan.Zero : Here * ((double)(options.TotalSteps - step) / _steps);
        var byTime = options.TimeBudget is { } budget ? budget - Elapsed : TimeSpan.MaxValue;
        return TimeSpan.FromTicks(Math.Max(0, Math.Min(bySteps.Ticks, byTime.Ticks)));
    }

    /// <summary>Runs work whose time counts neither as training nor against the budget.</summary>
    public T Exclude<T>(Func<T> work)
    {
        var begin = time.GetTimestamp();
        var result = work();
        _excluded += time.GetElapsedTime(begin);
        return result;
    }

}
