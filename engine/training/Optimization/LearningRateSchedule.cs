namespace SplitFrozen.Training.Optimization;

/// <summary>How the learning rate goes on after the warm-up.</summary>
public enum ScheduleKind
{
    /// <summary>Stays at the peak.</summary>
    Constant,

    /// <summary>Falls linearly to zero at the last step.</summary>
    Linear,

    /// <summary>Falls along half a cosine to zero at the last step.</summary>
    Cosine,
}

/// <summary>
/// Learning rate by step, a pure function. The formulas are those of transformers' <c>get_constant_schedule_with_warmup</c>,
/// <c>get_linear_schedule_with_warmup</c> and <c>get_cosine_schedule_with_warmup</c>: during the warm-up
/// <c>peak · step / warmup</c> (so the first step has rate 0), then the decay over the remaining steps.
/// </summary>
/// <param name="Kind">Decay after the warm-up.</param>
/// <param name="Peak">Largest learning rate.</param>
/// <param name="WarmupSteps">Steps of the warm-up, at least 0.</param>
/// <param name="TotalSteps">All steps, warm-up included.</param>
public sealed record LearningRateSchedule(ScheduleKind Kind, double Peak, int WarmupSteps, int TotalSteps)
{
    /// <summary>
    /// The schedule of a run, with the warm-up given as a share of all steps, rounded up as transformers' <c>warmup_ratio</c> is.
    /// </summary>
    /// <param name="kind"><c>constant</c>, <c>linear</c> or <c>cosine</c>.</param>
    /// <param name="peak">Largest learning rate.</param>
    /// <param name="warmupRatio">Share of all steps, in [0, 1).</param>
    /// <param name="totalSteps">All steps, at least 1.</param>
    /// <exception cref="ArgumentException">The kind is not one of the three.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The ratio or the number of steps is out of range.</exception>
    public static LearningRateSchedule Create(string kind, double peak, double warmupRatio, int totalSteps)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(totalSteps, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(warmupRatio);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(warmupRatio, 1.0);
        var parsed = kind switch
        {
            "constant" => ScheduleKind.Constant,
            "linear" => ScheduleKind.Linear,
            "cosine" => ScheduleKind.Cosine,
            _ => throw new ArgumentException($"'{kind}' is no schedule; use constant, linear or cosine.", nameof(kind)),
        };
        return new LearningRateSchedule(parsed, peak, (int)Math.Ceiling(totalSteps * warmupRatio), totalSteps);
    }

    /// <summary>The learning rate of a step.</summary>
    /// <param name="step">Steps already taken: 0 for the first. Fractions are allowed, for schedules driven by time.</param>
    public double At(double step)
    {
        if (step < WarmupSteps)
        {
            return Peak * step / Math.Max(1, WarmupSteps);
        }

        var progress = (step - WarmupSteps) / Math.Max(1, TotalSteps - WarmupSteps);
        return Kind switch
        {
            ScheduleKind.Linear => Peak * Math.Max(0.0, 1.0 - progress),
            ScheduleKind.Cosine => Peak * Math.Max(0.0, 0.5 * (1.0 + Math.Cos(Math.PI * Math.Min(progress, 1.0)))),
            _ => Peak,
        };
    }
}
