using System.Collections.Concurrent;

namespace SplitFrozen.Messaging.Tests;

public sealed class InProcessControlPlaneTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task PublishAsync_TwoSubscribers_BothHandleAllInOrderOneAtATime()
    {
        await using var plane = new InProcessControlPlane();
        var first = new Recorder(500);
        var second = new Recorder(500);
        using var one = plane.Subscribe<Ping>(first.HandleAsync);
        using var two = plane.Subscribe<Ping>(second.HandleAsync);

        for (var i = 0; i < 500; i++)
        {
            await plane.PublishAsync(new Ping(i), Token);
        }

        Assert.Equal(Enumerable.Range(0, 500), await first.All.Within());
        Assert.Equal(Enumerable.Range(0, 500), await second.All.Within());
        Assert.Equal((1, 1), (first.MostAtOnce, second.MostAtOnce));
    }

    [Fact]
    public async Task DrainAsync_MessagesWaiting_ReturnsWhenAllAreHandled()
    {
        await using var plane = new InProcessControlPlane();
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var handled = 0;
        using var subscription = plane.Subscribe<string>(async (_, _) =>
        {
            await gate.Task;
            handled++;
        });
        for (var i = 0; i < 3; i++)
        {
            await plane.PublishAsync("message", TestContext.Current.CancellationToken);
        }

        var drained = plane.DrainAsync();
        Assert.False(drained.IsCompleted);
        gate.SetResult();
        await drained.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(3, handled);
    }

    [Fact]
    public async Task PublishAsync_OtherType_ReachesNobody()
    {
        await using var plane = new InProcessControlPlane();
        var pings = new Recorder(1);
        using var subscription = plane.Subscribe<Ping>(pings.HandleAsync);

        await plane.PublishAsync("text", Token);
        await plane.PublishAsync(new Ping(1), Token);

        Assert.Equal(new[] { 1 }, await pings.All.Within());
    }

    [Fact]
    public async Task PublishAsync_HandlerThatThrows_IsReportedAndHarmsNobody()
    {
        var failures = new ConcurrentQueue<ControlHandlerFailure>();
        await using var plane = new InProcessControlPlane(failures.Enqueue);
        var healthy = new Recorder(3);
        var survivor = new Recorder(2);
        using var one = plane.Subscribe<Ping>((ping, token) =>
            ping.Number == 0 ? throw new InvalidOperationException("broken") : survivor.HandleAsync(ping, token));
        using var two = plane.Subscribe<Ping>(healthy.HandleAsync);

        for (var i = 0; i < 3; i++)
        {
            await plane.PublishAsync(new Ping(i), Token);
        }

        Assert.Equal(new[] { 0, 1, 2 }, await healthy.All.Within());
        Assert.Equal(new[] { 1, 2 }, await survivor.All.Within());
        var failure = await plane.FirstFailure.Within();
        Assert.Equal((typeof(Ping), "broken"), (failure.MessageType, failure.Exception.Message));
        Assert.Equal(failure, Assert.Single(failures));
    }

    [Fact]
    public async Task Dispose_Subscription_CancelsItsHandlerAndGetsNothingMore()
    {
        await using var plane = new InProcessControlPlane();
        var started = new TaskCompletionSource();
        var cancelled = new TaskCompletionSource();
        var handled = 0;
        var subscription = plane.Subscribe<Ping>(async (_, token) =>
        {
            Interlocked.Increment(ref handled);
            started.SetResult();
            try
            {
                await Task.Delay(Timeout.Infinite, token);
            }
            finally
            {
                cancelled.SetResult();
            }
        });
        await plane.PublishAsync(new Ping(0), Token);
        await plane.PublishAsync(new Ping(1), Token);
        await started.Task.Within();

        subscription.Dispose();
        subscription.Dispose();
        await cancelled.Task.Within();
        await plane.PublishAsync(new Ping(2), Token);
        await plane.DisposeAsync();

        Assert.Equal(1, handled);
        Assert.False(plane.FirstFailure.IsCompleted);
        Assert.Throws<ObjectDisposedException>(() => plane.Subscribe<Ping>((_, _) => default));
    }

    [Fact]
    public async Task PublishAsync_SubscriberFarBehind_WaitsUntilItCatchesUpOrLeaves()
    {
        await using var plane = new InProcessControlPlane();
        var release = new TaskCompletionSource();
        var subscription = plane.Subscribe<Ping>(async (_, token) => await release.Task.WaitAsync(token));
        ValueTask publishing = default;
        var sent = 0;
        for (; sent < 100_000 && publishing.IsCompletedSuccessfully; sent++)
        {
            publishing = plane.PublishAsync(new Ping(sent), Token);
        }

        Assert.InRange(sent, 4096, 99_999);
        subscription.Dispose();
        await publishing.AsTask().Within();
    }

    private sealed record Ping(int Number);

    private sealed class Recorder(int expected)
    {
        private readonly List<int> _seen = [];
        private readonly TaskCompletionSource<int[]> _all = new();
        private int _running;

        public Task<int[]> All => _all.Task;

        public int MostAtOnce { get; private set; }

        public async ValueTask HandleAsync(Ping ping, CancellationToken cancellationToken)
        {
            MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _running));
            await Task.Yield();
            cancellationToken.ThrowIfCancellationRequested();
            _seen.Add(ping.Number);
            Interlocked.Decrement(ref _running);
            if (_seen.Count == expected)
            {
                _all.SetResult([.. _seen]);
            }
        }
    }
}
