using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging.Tests;

public sealed class InProcessStepsTests
{
    private readonly InProcessDataPlane _plane = new(new InProcessDataPlaneOptions { MaximumWaitingSteps = 2 });

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task PublishAsync_TrainerTooFarBehind_WaitsForIt()
    {
        await Publish(0).Within();
        await Publish(1).Within();
        var third = Publish(2);
        Assert.False(third.IsCompleted);

        await using var receiver = Receive();
        Assert.Equal(0, (await Next(receiver)).Step.Sequence);

        await third.Within();
        Assert.False(Publish(3).IsCompleted);
    }

    /// <summary>The trainer acknowledges only at a checkpoint, so what it holds must not block what comes next.</summary>
    [Fact]
    public async Task ReceiveAsync_ManyUnacknowledged_DoesNotBlockThePublisher()
    {
        await using var receiver = Receive();
        for (var i = 0; i < 500; i++)
        {
            await Publish(i).Within();
            Assert.Equal(i, (await Next(receiver)).Step.Sequence);
        }
    }

    [Fact]
    public async Task PublishAsync_CancelledWhileItWaits_Throws()
    {
        await Publish(0);
        await Publish(1);
        using var source = new CancellationTokenSource();
        var waiting = _plane.PublishAsync(Step(2), source.Token);

        await source.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.Within());
    }

    [Fact]
    public async Task ReceiveAsync_AfterAReceiverEnded_DeliversAgainWhatWasNotAcknowledged()
    {
        var first = Receive();
        var deliveries = new List<IStepDelivery>();
        for (var i = 0; i < 4; i++)
        {
            await Publish(i).Within();
            deliveries.Add(await Next(first));
        }

        await deliveries[1].AcknowledgeAsync(Token);
        await first.DisposeAsync();

        await using var second = Receive();
        Assert.Equal([0L, 2L, 3L], new[] { await Next(second), await Next(second), await Next(second) }.Select(delivery => delivery.Step.Sequence));
    }

    [Fact]
    public async Task ReceiveAsync_WhileAnotherReceives_TakesOver()
    {
        await Publish(0);
        await using var old = Receive();
        var stale = await Next(old);
        var waiting = old.MoveNextAsync().AsTask();

        await using var successor = Receive();
        var delivery = await Next(successor);

        Assert.Equal(0, delivery.Step.Sequence);
        Assert.False(await waiting.Within());
        await stale.AcknowledgeAsync(Token);
        await old.DisposeAsync();
        await successor.DisposeAsync();
        await using var third = Receive();
        Assert.Equal(0, (await Next(third)).Step.Sequence);
    }

    [Fact]
    public async Task ReceiveAsync_Cancelled_ThrowsAndKeepsTheMessages()
    {
        await Publish(0);
        using var source = new CancellationTokenSource();
        await using (var receiver = _plane.ReceiveAsync("run", source.Token).GetAsyncEnumerator(Token))
        {
            await Next(receiver);
            var waiting = receiver.MoveNextAsync().AsTask();
            await source.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.Within());
        }

        await using var next = Receive();
        Assert.Equal(0, (await Next(next)).Step.Sequence);
    }

    [Fact]
    public async Task ReceiveAsync_OtherRun_GetsNothingOfThisOne()
    {
        await Publish(0);
        await using var other = _plane.ReceiveAsync("other", Token).GetAsyncEnumerator(Token);
        var waiting = other.MoveNextAsync().AsTask();
        Assert.False(waiting.IsCompleted);

        _plane.DeleteRun("other");

        Assert.False(await waiting.Within());
    }

    [Fact]
    public async Task DeleteRun_WaitingPublisher_IsTold()
    {
        await Publish(0);
        await Publish(1);
        var waiting = Publish(2);

        _plane.DeleteRun("run");

        await Assert.ThrowsAsync<InvalidOperationException>(() => waiting.Within());
    }

    private static StepMessage Step(long sequence) => new("run", "start", sequence, 10, StepKind.Train, 0, (int)sequence, 10, 0, 1, false, []);

    private Task Publish(long sequence) => _plane.PublishAsync(Step(sequence), Token);

    private IAsyncEnumerator<IStepDelivery> Receive() => _plane.ReceiveAsync("run", Token).GetAsyncEnumerator(Token);

    private static async Task<IStepDelivery> Next(IAsyncEnumerator<IStepDelivery> receiver)
    {
        Assert.True(await receiver.MoveNextAsync().AsTask().Within());
        return receiver.Current;
    }
}
