using Microsoft.Extensions.Time.Testing;

namespace SplitFrozen.ServiceDefaults.Tests;

public sealed class BackoffTests
{
    private readonly FakeTimeProvider _time = new() { AutoAdvanceAmount = TimeSpan.Zero };

    [Fact]
    public async Task While_OutcomeThatMeansLater_RepeatsUntilItDoesNot()
    {
        var calls = 0;
        var task = Backoff.While<int>(outcome => outcome < 5, _time, 1)
            .ExecuteAsync(_ => ValueTask.FromResult(++calls), TestContext.Current.CancellationToken).AsTask();

        Assert.Equal(5, await AdvanceUntilDone(task));
        Assert.Equal(5, calls);
    }

    [Fact]
    public async Task OnFailure_PassingFailure_RepeatsUntilItSucceeds()
    {
        var calls = 0;
        var task = Backoff.OnFailure(exception => exception is TimeoutException, _time, 1)
            .ExecuteAsync(_ => ++calls < 4 ? throw new TimeoutException() : ValueTask.FromResult(calls), TestContext.Current.CancellationToken).AsTask();

        Assert.Equal(4, await AdvanceUntilDone(task));
    }

    [Fact]
    public async Task OnFailure_FailureThatStays_PassesThroughInTheEnd()
    {
        var calls = 0;
        var start = _time.GetUtcNow();
        var task = Backoff.OnFailure(exception => exception is TimeoutException, _time, 1)
            .ExecuteAsync<int>(_ => throw new TimeoutException($"{++calls}"), TestContext.Current.CancellationToken).AsTask();

        await Assert.ThrowsAsync<TimeoutException>(() => AdvanceUntilDone(task));
        Assert.Equal(12, calls);
        Assert.InRange((_time.GetUtcNow() - start).TotalSeconds, 10, 150);
    }

    [Fact]
    public async Task OnFailure_OtherFailure_PassesThroughAtOnce()
    {
        var calls = 0;
        await Assert.ThrowsAsync<NotSupportedException>(() => Backoff.OnFailure(exception => exception is TimeoutException, _time, 1)
            .ExecuteAsync<int>(_ => throw new NotSupportedException($"{++calls}"), TestContext.Current.CancellationToken).AsTask());

        Assert.Equal(1, calls);
    }

    private async Task<T> AdvanceUntilDone<T>(Task<T> task)
    {
        while (!task.IsCompleted)
        {
            _time.Advance(TimeSpan.FromMilliseconds(50));
            await Task.Yield();
        }

        return await task;
    }
}
