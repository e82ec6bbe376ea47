using Polly;
using Polly.Retry;
using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.ServiceDefaults;

/// <summary>The one place that says how to try again.</summary>
public static class Backoff
{
    private const int AttemptsInAMinute = 11;

    /// <summary>
    /// Repeats an operation while its outcome asks for it, for as long as it takes: from 10 ms, doubling to 2 s, with jitter
    /// so that many devices do not come back together. Exceptions pass through.
    /// </summary>
    /// <param name="again">True for an outcome that means "later".</param>
    /// <param name="time">The clock of the delays.</param>
    /// <param name="jitterSeed">Seed of the jitter, different for every device.</param>
    public static ResiliencePipeline<TOutcome> While<TOutcome>(Predicate<TOutcome> again, TimeProvider time, ulong jitterSeed)
    {
        ArgumentNullException.ThrowIfNull(again);
        var jitter = new SeededRandom(jitterSeed);
        return new ResiliencePipelineBuilder<TOutcome> { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions<TOutcome>
            {
                ShouldHandle = attempt => ValueTask.FromResult(attempt.Outcome.Exception is null && again(attempt.Outcome.Result!)),
                BackoffType = DelayBackoffType.Exponential,
                Delay = TimeSpan.FromMilliseconds(10),
                MaxDelay = TimeSpan.FromSeconds(2),
                MaxRetryAttempts = int.MaxValue,
                UseJitter = true,
                Randomizer = jitter.NextDouble,
            })
            .Build();
    }

    /// <summary>
    /// Repeats an operation on the broker or the cache that failed for a passing reason: from 100 ms, doubling to 10 s, with
    /// jitter, about a minute in all. The last failure, and any other one, passes through.
    /// </summary>
    /// <param name="passing">True for a failure that time may heal, such as a lost connection.</param>
    /// <param name="time">The clock of the delays.</param>
    /// <param name="jitterSeed">Seed of the jitter, different for every process.</param>
    public static ResiliencePipeline OnFailure(Predicate<Exception> passing, TimeProvider time, ulong jitterSeed) =>
        OnFailure(passing, time, jitterSeed, AttemptsInAMinute, (_, _) => { });

    /// <summary>The same for as long as it takes.</summary>
    /// <param name="passing">True for a failure that time may heal, such as a lost connection.</param>
    /// <param name="time">The clock of the delays.</param>
    /// <param name="jitterSeed">Seed of the jitter, different for every process.</param>
    /// <param name="again">Is told of each failure before the next attempt: how many there were before it, and what it is.</param>
    public static ResiliencePipeline OnFailureForEver(Predicate<Exception> passing, TimeProvider time, ulong jitterSeed, Action<int, Exception> again) =>
        OnFailure(passing, time, jitterSeed, int.MaxValue, again);

    private static ResiliencePipeline OnFailure(Predicate<Exception> passing, TimeProvider time, ulong jitterSeed, int attempts, Action<int, Exception> again)
    {
        ArgumentNullException.ThrowIfNull(passing);
        var jitter = new SeededRandom(jitterSeed);
        return new ResiliencePipelineBuilder { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions
            {
                ShouldHandle = attempt => ValueTask.FromResult(attempt.Outcome.Exception is { } exception && passing(exception)),
                BackoffType = DelayBackoffType.Exponential,
                Delay = TimeSpan.FromMilliseconds(100),
                MaxDelay = TimeSpan.FromSeconds(10),
                MaxRetryAttempts = attempts,
                UseJitter = true,
                Randomizer = jitter.NextDouble,
                OnRetry = attempt =>
                {
                    again(attempt.AttemptNumber, attempt.Outcome.Exception!);
                    return ValueTask.CompletedTask;
                },
            })
            .Build();
    }
}
