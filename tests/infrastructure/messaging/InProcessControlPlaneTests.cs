using System.Collections.Concurrent;

namespace SplitFrozen.Messaging.Tests;

public sealed class InProcessControlPlaneTests : ControlPlaneContract
{
    private protected override Task<PlaneUnderTest> StartAsync()
    {
        var plane = new InProcessControlPlane();
        return Task.FromResult(new PlaneUnderTest(plane, plane.FirstFailure, plane.DisposeAsync));
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
    public async Task PublishAsync_HandlerThatThrows_CallsBackOnce()
    {
        var failures = new ConcurrentQueue<ControlHandlerFailure>();
        await using var plane = new InProcessControlPlane(failures.Enqueue);
        using var subscription = plane.Subscribe<Ping>((_, _) => throw new InvalidOperationException("broken"));

        await plane.PublishAsync(new Ping(0), Token);
        await plane.DrainAsync().Within();

        Assert.Equal(await plane.FirstFailure.Within(), Assert.Single(failures));
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
}
