using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging.Tests;

/// <summary>What every control plane does, whatever carries it.</summary>
public abstract class ControlPlaneContract
{
    protected static CancellationToken Token => TestContext.Current.CancellationToken;

    private protected abstract Task<PlaneUnderTest> StartAsync();

    [Fact]
    public async Task PublishAsync_TwoSubscribers_BothHandleAllInOrderOneAtATime()
    {
        await using var started = await StartAsync();
        var first = new Recorder(500);
        var second = new Recorder(500);
        using var one = started.Plane.Subscribe<Ping>(first.HandleAsync);
        using var two = started.Plane.Subscribe<Ping>(second.HandleAsync);

        for (var i = 0; i < 500; i++)
        {
            await started.Plane.PublishAsync(new Ping(i), Token);
        }

        Assert.Equal(Enumerable.Range(0, 500), await first.All.Within());
        Assert.Equal(Enumerable.Range(0, 500), await second.All.Within());
        Assert.Equal((1, 1), (first.MostAtOnce, second.MostAtOnce));
    }

    [Fact]
    public async Task PublishAsync_OtherType_ReachesNobody()
    {
        await using var started = await StartAsync();
        var pings = new Recorder(1);
        using var subscription = started.Plane.Subscribe<Ping>(pings.HandleAsync);

        await started.Plane.PublishAsync(new Pong("text"), Token);
        await started.Plane.PublishAsync(new Ping(1), Token);

        Assert.Equal(new[] { 1 }, await pings.All.Within());
    }

    [Fact]
    public async Task PublishAsync_HandlerThatThrows_IsReportedAndHarmsNobody()
    {
        await using var started = await StartAsync();
        var healthy = new Recorder(3);
        var survivor = new Recorder(2);
        using var one = started.Plane.Subscribe<Ping>((ping, token) =>
            ping.Number == 0 ? throw new InvalidOperationException("broken") : survivor.HandleAsync(ping, token));
        using var two = started.Plane.Subscribe<Ping>(healthy.HandleAsync);

        for (var i = 0; i < 3; i++)
        {
            await started.Plane.PublishAsync(new Ping(i), Token);
        }

        Assert.Equal(new[] { 0, 1, 2 }, await healthy.All.Within());
        Assert.Equal(new[] { 1, 2 }, await survivor.All.Within());
        var failure = await started.FirstFailure.Within();
        Assert.Equal((typeof(Ping), "broken"), (failure.MessageType, failure.Exception.Message));
    }

    [Fact]
    public async Task Dispose_Subscription_CancelsItsHandlerAndGetsNothingMore()
    {
        await using var started = await StartAsync();
        var running = new TaskCompletionSource();
        var cancelled = new TaskCompletionSource();
        var handled = 0;
        var subscription = started.Plane.Subscribe<Ping>(async (_, token) =>
        {
            Interlocked.Increment(ref handled);
            running.SetResult();
            try
            {
                await Task.Delay(Timeout.Infinite, token);
            }
            finally
            {
                cancelled.SetResult();
            }
        });
        await started.Plane.PublishAsync(new Ping(0), Token);
        await started.Plane.PublishAsync(new Ping(1), Token);
        await running.Task.Within();

        subscription.Dispose();
        subscription.Dispose();
        await cancelled.Task.Within();
        await started.Plane.PublishAsync(new Ping(2), Token);
        await started.DisposeAsync();

        Assert.Equal(1, handled);
        Assert.False(started.FirstFailure.IsCompleted);
        Assert.Throws<ObjectDisposedException>(() => started.Plane.Subscribe<Ping>((_, _) => default));
    }

    [Fact]
    public async Task PublishAsync_AddressedMessage_ReachesOnlyWhoHasTheAddress()
    {
        await using var started = await StartAsync();
        var a = new Recorder(2);
        var bc = new Recorder(4);
        using var one = started.Plane.Subscribe<Letter>((letter, token) => a.HandleAsync(new Ping(letter.Number), token), "a");
        using var two = started.Plane.Subscribe<Letter>((letter, token) => bc.HandleAsync(new Ping(letter.Number), token), "b", "c");
        using var none = started.Plane.Subscribe<Letter>((_, _) => throw new InvalidOperationException("It has no address."));

        foreach (var (number, address) in new[] { "b", "c", "d", "a", "c", "A", "a", "b" }.Index())
        {
            await started.Plane.PublishAsync(new Letter(address, number), Token);
        }

        Assert.Equal(new[] { 3, 6 }, await a.All.Within());
        Assert.Equal(new[] { 0, 1, 4, 7 }, await bc.All.Within());
        Assert.False(started.FirstFailure.IsCompleted);
    }

    /// <summary>A plane with what its port does not show.</summary>
    internal sealed record PlaneUnderTest(IControlPlane Plane, Task<ControlHandlerFailure> FirstFailure, Func<ValueTask> Dispose) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => Dispose();
    }
}

/// <summary>A message to all.</summary>
internal sealed record Ping(int Number);

/// <summary>Another message to all.</summary>
internal sealed record Pong(string Text);

/// <summary>A message for one address.</summary>
internal sealed record Letter(string To, int Number) : IAddressedMessage
{
    string IAddressedMessage.Address => To;
}

/// <summary>A handler that keeps the numbers that it got until it has all.</summary>
internal sealed class Recorder(int expected)
{
    private readonly List<int> _seen = [];
    private readonly TaskCompletionSource<int[]> _all = new(TaskCreationOptions.RunContinuationsAsynchronously);
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
