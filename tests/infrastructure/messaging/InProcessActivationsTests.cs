namespace SplitFrozen.Messaging.Tests;

public sealed class InProcessActivationsTests
{
    private readonly InProcessDataPlane _plane = new(new InProcessDataPlaneOptions
    {
        MaximumQueueBytes = 100, MaximumDeadLetters = 2, MaximumDeadLetterBytes = 50,
    });

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task PublishAsync_BodyReusedAfterwards_DeliversWhatWasPublished()
    {
        var body = new byte[] { 1, 2, 3 };
        Assert.Equal(PublishOutcome.Confirmed, await Publish(body));
        body[0] = 9;
        await using var subscription = await Subscribe();

        Assert.True(subscription.TryReceive(out var delivery));
        Assert.Equal([1, 2, 3], delivery!.Body.ToArray());
        Assert.Equal("a", delivery.ClientId);
    }

    [Fact]
    public async Task PublishAsync_QueueAtItsLimit_IsFullUntilAMessageIsSettled()
    {
        await using var subscription = await Subscribe();
        Assert.Equal(PublishOutcome.Confirmed, await Publish(new byte[60]));
        Assert.Equal(PublishOutcome.Confirmed, await Publish(new byte[40]));
        Assert.Equal(PublishOutcome.QueueFull, await Publish(new byte[1]));
        Assert.Equal(PublishOutcome.Confirmed, await Publish(new byte[1], client: "b"));

        subscription.TryReceive(out var first);
        Assert.Equal(PublishOutcome.QueueFull, await Publish(new byte[1]));
        await first!.AcknowledgeAsync(Token);

        Assert.Equal(PublishOutcome.Confirmed, await Publish(new byte[60]));
        Assert.Equal(PublishOutcome.QueueFull, await Publish(new byte[1]));
    }

    [Fact]
    public async Task PublishAsync_BodyLargerThanTheQueue_Throws()
    {
        var exception = await Assert.ThrowsAsync<ArgumentException>(() => Publish(new byte[101]));
        Assert.Contains("can never enter", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TryReceive_MoreThanThePrefetchInHand_WaitsForASettlement()
    {
        await using var subscription = await Subscribe(prefetch: 2);
        for (byte i = 0; i < 3; i++)
        {
            await Publish([i]);
        }

        Assert.Equal(0, Receive(subscription).Body.Span[0]);
        var second = Receive(subscription);
        Assert.False(subscription.TryReceive(out var none));
        Assert.Null(none);
        var wait = subscription.WaitAsync(Token).AsTask();
        Assert.False(wait.IsCompleted);

        await second.RejectAsync("bad", Token);

        Assert.True(await wait.Within());
        Assert.Equal(2, Receive(subscription).Body.Span[0]);
    }

    [Fact]
    public async Task WaitAsync_EmptyQueue_CompletesWhenAMessageArrives()
    {
        await using var subscription = await Subscribe();
        var wait = subscription.WaitAsync(Token).AsTask();
        Assert.False(wait.IsCompleted);

        await Publish([1]);

        Assert.True(await wait.Within());
    }

    [Fact]
    public async Task WaitAsync_Cancelled_Throws()
    {
        await using var subscription = await Subscribe();
        using var source = new CancellationTokenSource();
        var wait = subscription.WaitAsync(source.Token).AsTask();

        await source.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait.Within());
    }

    [Fact]
    public async Task DisposeAsync_UnsettledDeliveries_AreDeliveredAgainInOrder()
    {
        var first = await Subscribe(prefetch: 3);
        for (byte i = 0; i < 4; i++)
        {
            await Publish([i]);
        }

        var stale = Receive(first);
        await Receive(first).AcknowledgeAsync(Token);
        Receive(first);
        await first.DisposeAsync();
        Assert.False(first.TryReceive(out _));
        Assert.False(await first.WaitAsync(Token));
        await stale.AcknowledgeAsync(Token);

        await using var second = await Subscribe(prefetch: 10);
        Assert.Equal([0, 2, 3], new[] { Receive(second), Receive(second), Receive(second) }.Select(delivery => (int)delivery.Body.Span[0]));
        Assert.False(second.TryReceive(out _));
    }

    [Fact]
    public async Task RejectAsync_SomeMessages_KeepsTheNewestWithTheirReasons()
    {
        await using var subscription = await Subscribe(prefetch: 10);
        for (byte i = 0; i < 4; i++)
        {
            await Publish([i]);
            var delivery = Receive(subscription);
            await delivery.RejectAsync($"reason {i}", Token);
            await delivery.RejectAsync("again", Token);
        }

        Assert.Equal(["reason 2", "reason 3"], _plane.DeadLetters.Select(letter => letter.Reason));
        Assert.Equal(("run", "a", 3), (_plane.DeadLetters[1].RunId, _plane.DeadLetters[1].ClientId, _plane.DeadLetters[1].Body[0]));
        Assert.Equal(4, _plane.DeadLetterCount);
        Assert.Equal(PublishOutcome.Confirmed, await Publish(new byte[60]));
        await Receive(subscription).RejectAsync("large", Token);
        Assert.Empty(_plane.DeadLetters);
    }

    [Fact]
    public async Task DeleteRun_OpenSubscription_Ends()
    {
        await using var subscription = await Subscribe();
        var wait = subscription.WaitAsync(Token).AsTask();

        _plane.DeleteRun("run");

        Assert.False(await wait.Within());
        await Publish([1]);
        Assert.False(subscription.TryReceive(out _));
    }

    [Fact]
    public async Task PublishAndReceive_ManyPublishers_LosesAndRepeatsNothing()
    {
        const int Publishers = 4;
        const int Messages = 2000;
        await using var subscription = await Subscribe(prefetch: 5);
        var publishing = Enumerable.Range(0, Publishers).Select(publisher => Task.Run(async () =>
        {
            for (var i = 0; i < Messages; i++)
            {
                while (await Publish([(byte)publisher, (byte)i, (byte)(i >> 8)]) == PublishOutcome.QueueFull)
                {
                    await Task.Yield();
                }
            }
        })).ToArray();

        var next = new int[Publishers];
        for (var count = 0; count < Publishers * Messages; count++)
        {
            Assert.True(await subscription.WaitAsync(Token).AsTask().Within());
            var delivery = Receive(subscription);
            var publisher = delivery.Body.Span[0];
            Assert.Equal(next[publisher]++, delivery.Body.Span[1] | (delivery.Body.Span[2] << 8));
            await delivery.AcknowledgeAsync(Token);
        }

        await Task.WhenAll(publishing).Within();
        Assert.False(subscription.TryReceive(out _));
    }

    private Task<PublishOutcome> Publish(byte[] body, string client = "a") => _plane.PublishAsync("run", client, body, Token);

    private Task<IActivationSubscription> Subscribe(int prefetch = 1) => _plane.SubscribeAsync("run", "a", prefetch, Token);

    private static IActivationDelivery Receive(IActivationSubscription subscription)
    {
        Assert.True(subscription.TryReceive(out var delivery));
        return delivery!;
    }
}
