using System.Diagnostics;
using RabbitMQ.Client;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Messaging.Tests.RabbitMq;

public sealed class RabbitMqActivationsTests(Broker broker) : RabbitMqTests(broker)
{
    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task Acknowledge_AllDelivered_KeepsTheOrderAndComesNoMore(QueueKind kind)
    {
        var plane = Plane(Options(kind));
        await using (var subscription = await Subscribe(plane, prefetch: 3))
        {
            for (byte i = 0; i < 10; i++)
            {
                await Publish(plane, [i, 1, 2]);
            }

            for (byte i = 0; i < 10; i++)
            {
                var delivery = await Receive(subscription);
                Assert.Equal(new byte[] { i, 1, 2 }, delivery.Body.ToArray());
                Assert.Equal("a", delivery.ClientId);
                await delivery.AcknowledgeAsync(Token);
                await delivery.AcknowledgeAsync(Token);
            }
        }

        await Publish(plane, [99]);
        await using var next = await Subscribe(plane);
        Assert.Equal(99, (await Receive(next)).Body.Span[0]);
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task TryReceive_PrefetchInHand_WaitsForASettlement(QueueKind kind)
    {
        var plane = Plane(Options(kind));
        await using var subscription = await Subscribe(plane, prefetch: 2);
        for (byte i = 0; i < 4; i++)
        {
            await Publish(plane, [i]);
        }

        var first = await Receive(subscription);
        await Receive(subscription);
        var wait = subscription.WaitAsync(Token).AsTask();
        await UntilReady(await RawChannel(), Queue, ready => ready == 2);
        Assert.False(wait.IsCompleted);
        Assert.False(subscription.TryReceive(out _));

        await first.AcknowledgeAsync(Token);

        Assert.True(await wait.Within());
        Assert.Equal(2, (await Receive(subscription)).Body.Span[0]);
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task PublishAsync_QueueAtItsLimit_IsFullUntilItIsDrained(QueueKind kind)
    {
        var plane = Plane(Options(kind) with { MaximumQueueBytes = 10_000 });
        var published = 0;
        while (await plane.PublishAsync(Run, "a", new byte[1000], Token) == PublishOutcome.Confirmed)
        {
            published++;
        }

        // A quorum queue tells its publishers after it went over the limit.
        Assert.InRange(published, 10, kind == QueueKind.Classic ? 10 : 14);
        Assert.Equal(PublishOutcome.QueueFull, await plane.PublishAsync(Run, "a", new byte[1000], Token));
        Assert.Equal(PublishOutcome.Confirmed, await plane.PublishAsync(Run, "b", new byte[1000], Token));
        await using (var subscription = await Subscribe(plane))
        {
            for (var i = 0; i < published; i++)
            {
                await (await Receive(subscription)).AcknowledgeAsync(Token);
            }
        }

        await Until(async () => await plane.PublishAsync(Run, "a", new byte[1000], Token) == PublishOutcome.Confirmed);
    }

    [Fact]
    public async Task PublishAsync_BodyLargerThanTheQueue_Throws()
    {
        var plane = Plane(Options(QueueKind.Quorum) with { MaximumQueueBytes = 100 });
        var exception = await Assert.ThrowsAsync<ArgumentException>(() => plane.PublishAsync(Run, "a", new byte[101], Token));
        Assert.Contains("can never enter", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PublishAsync_MoreAtOnceThanTheWindow_LosesAndRepeatsNothing()
    {
        const int Publishers = 8;
        const int Messages = 40;
        var plane = Plane(Options(QueueKind.Quorum) with { PublishWindow = 3 });
        var publishing = Enumerable.Range(0, Publishers).Select(publisher => Task.Run(async () =>
        {
            for (byte i = 0; i < Messages; i++)
            {
                await Publish(plane, [(byte)publisher, i]);
            }
        })).ToArray();

        await using var subscription = await Subscribe(plane, prefetch: 5);
        var next = new int[Publishers];
        for (var count = 0; count < Publishers * Messages; count++)
        {
            var delivery = await Receive(subscription);
            Assert.Equal(next[delivery.Body.Span[0]]++, delivery.Body.Span[1]);
            await delivery.AcknowledgeAsync(Token);
        }

        await Task.WhenAll(publishing);
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task DisposeAsync_UnsettledDeliveries_AreDeliveredAgainInOrder(QueueKind kind)
    {
        var plane = Plane(Options(kind));
        var first = await Subscribe(plane, prefetch: 3);
        for (byte i = 0; i < 5; i++)
        {
            await Publish(plane, [i]);
        }

        var stale = await Receive(first);
        await (await Receive(first)).AcknowledgeAsync(Token);
        await Receive(first);
        await first.DisposeAsync();
        Assert.False(first.TryReceive(out _));
        Assert.False(await first.WaitAsync(Token));
        await stale.AcknowledgeAsync(Token);
        await stale.RejectAsync("stale", Token);

        await using var second = await Subscribe(plane, prefetch: 10);
        Assert.Equal((0, 2, 3, 4), (await Number(second), await Number(second), await Number(second), await Number(second)));
    }

    [Fact]
    public async Task SubscribeAsync_WhileAnotherSubscribes_GetsTheQueueWhenThatOneGoes()
    {
        var plane = Plane(Options(QueueKind.Quorum));
        var first = await Subscribe(plane);
        await using var second = await Subscribe(plane);
        await Publish(plane, [7]);
        await Receive(first);
        Assert.False(second.TryReceive(out _));

        await first.DisposeAsync();

        Assert.Equal(7, await Number(second));
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task RejectAsync_Message_LandsInTheDeadLettersWithItsReason(QueueKind kind)
    {
        var plane = Plane(Options(kind));
        await using var subscription = await Subscribe(plane, prefetch: 5);
        await Publish(plane, [1, 2]);
        await Publish(plane, [3]);

        var delivery = await Receive(subscription);
        await delivery.RejectAsync("not finite", Token);
        await delivery.RejectAsync("again", Token);
        await delivery.AcknowledgeAsync(Token);

        var letter = Assert.Single(await DeadLetters(plane, 1));
        Assert.Equal((Run, "a", "not finite"), (letter.RunId, letter.ClientId, letter.Reason));
        Assert.Equal([1, 2], letter.Body);
        Assert.Equal(3, await Number(subscription));
        Assert.Contains(await plane.DeadLetters.TakeAsync(1000, Token), taken => taken.RunId == Run);
        await DeadLetters(plane, 0);
    }

    [Fact]
    public async Task DeadLetters_LookedAtByAnOperator_AreTheNewestWithoutBodiesAndStay()
    {
        var plane = Plane(Options(QueueKind.Classic));
        await plane.DeadLetters.PurgeAsync(Token);
        await using (var subscription = await Subscribe(plane, prefetch: 5))
        {
            for (byte n = 1; n <= 4; n++)
            {
                await Publish(plane, new byte[n]);
                await (await Receive(subscription)).RejectAsync($"reason {n}", Token);
            }
        }

        // Two who look at once see the same.
        var looks = await Task.WhenAll(plane.DeadLetters.NewestAsync(2, Token), plane.DeadLetters.NewestAsync(2, Token));
        Assert.All(looks, newest => Assert.Equal([new(Run, "a", "reason 4", 4), new(Run, "a", "reason 3", 3)], newest));
        Assert.Equal(4, (await plane.DeadLetters.NewestAsync(200, Token)).Count);
        Assert.Equal(4, await plane.DeadLetters.PurgeAsync(Token));
        Assert.Empty(await plane.DeadLetters.NewestAsync(200, Token));
    }

    [Fact]
    public async Task DeadLetters_MovedByTheBroker_NameTheirQueue()
    {
        var plane = Plane(Options(QueueKind.Classic));
        await using (await Subscribe(plane))
        {
        }

        await Publish(plane, [5]);
        var channel = await RawChannel();
        var got = await channel.BasicGetAsync(Queue, autoAck: false, Token);
        await channel.BasicRejectAsync(got!.DeliveryTag, requeue: false, Token);

        var letter = Assert.Single(await DeadLetters(plane, 1));
        Assert.Equal((Run, "a", "rejected"), (letter.RunId, letter.ClientId, letter.Reason));
    }

    [Fact]
    public async Task Receive_MessageWithoutUserId_IsRefused()
    {
        var plane = Plane(Options(QueueKind.Quorum));
        await using var subscription = await Subscribe(plane);
        var channel = await RawChannel();
        await channel.BasicPublishAsync(RabbitMqTopology.ActivationExchange, $"{Run}.a", true, new BasicProperties(), new byte[] { 1 }, Token);
        await Publish(plane, [2]);

        Assert.Equal(2, await Number(subscription));
        Assert.Contains("no user-id", Assert.Single(await DeadLetters(plane, 1)).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Receive_MessageOfAnotherClientsUser_IsRefused()
    {
        Assert.SkipWhen(Server.UsersSkipReason is not null, Server.UsersSkipReason ?? "");
        var user = $"u{Guid.NewGuid():N}";
        await Server.AddUserAsync(user, "secret", Token);
        var coordinator = Plane(Options(QueueKind.Quorum));
        var device = Plane(Options(QueueKind.Quorum) with { ConnectionString = Server.ConnectionStringFor(user, "secret") });
        await using var foreign = await Subscribe(coordinator);
        await using var own = await Subscribe(coordinator, client: user);
        await using var ownPart = await Subscribe(coordinator, client: $"{user}.1");

        await Publish(device, [1]);
        await Publish(device, [2], user);
        await Publish(device, [3], $"{user}.1");
        await Publish(coordinator, [4]);

        Assert.Equal((2, 3, 4), (await Number(own), await Number(ownPart), await Number(foreign)));
        Assert.Equal($"User '{user}' may not publish for client 'a'.", Assert.Single(await DeadLetters(coordinator, 1)).Reason);
    }

    [Fact]
    public async Task PublishAsync_UserWhoMayNotDeclare_WaitsForTheCoordinatorsQueue()
    {
        Assert.SkipWhen(Server.UsersSkipReason is not null, Server.UsersSkipReason ?? "");
        var user = $"u{Guid.NewGuid():N}";
        await Server.AddUserAsync(user, "secret", Token, configure: "^$", write: "^splitfrozen\\.activations$", read: "^$");
        var device = Plane(Options(QueueKind.Quorum) with { ConnectionString = Server.ConnectionStringFor(user, "secret") });
        var publishing = device.PublishAsync(Run, user, new byte[] { 1 }, Token);

        await using var subscription = await Subscribe(Plane(Options(QueueKind.Quorum)), client: user);

        Assert.Equal(1, await Number(subscription));
        Assert.Equal(PublishOutcome.Confirmed, await publishing.Within());
    }

    [Fact]
    public async Task PublishAsync_WrongPassword_FailsAtOnce()
    {
        var plane = Plane(Options(QueueKind.Quorum) with { ConnectionString = Server.ConnectionStringFor("nobody", "wrong") });
        await Assert.ThrowsAnyAsync<Exception>(() => plane.PublishAsync(Run, "a", new byte[1], Token).WaitAsync(TimeSpan.FromSeconds(15), Token));
    }

    [Fact]
    public async Task Receive_BodyOverTheLimit_IsRefusedAndNotKept()
    {
        var device = Plane(Options(QueueKind.Quorum));
        var coordinator = Plane(Options(QueueKind.Quorum) with { MaximumBodyBytes = 1000 });
        await using var subscription = await Subscribe(coordinator);
        await Publish(device, new byte[1001]);
        await Publish(device, new byte[1000]);

        Assert.Equal(1000, (await Receive(subscription)).Body.Length);
        var letter = Assert.Single(await DeadLetters(coordinator, 1));
        Assert.Contains("1001 bytes", letter.Reason, StringComparison.Ordinal);
        Assert.Empty(letter.Body);
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task Receive_DeliveredTooOften_IsRefused(QueueKind kind)
    {
        var plane = Plane(Options(kind) with { MaximumDeliveries = 3 });
        await Publish(plane, [1]);
        for (var i = 0; i < 3; i++)
        {
            await using var failing = await Subscribe(plane);
            Assert.Equal(1, await Number(failing));
        }

        await using var subscription = await Subscribe(plane);
        await Publish(plane, [2]);

        Assert.Equal(2, await Number(subscription));
        Assert.Contains("delivered 3 times", Assert.Single(await DeadLetters(plane, 1)).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PublishAsync_InATrace_SendsItsContextAndProperties()
    {
        using var activity = new Activity("test").SetIdFormat(ActivityIdFormat.W3C).Start();
        var plane = Plane(Options(QueueKind.Classic));
        await Publish(plane, [1]);

        var properties = (await (await RawChannel()).BasicGetAsync(Queue, autoAck: true, Token))!.BasicProperties;

        Assert.Equal(activity.Id, System.Text.Encoding.UTF8.GetString((byte[])properties.Headers!["traceparent"]!));
        Assert.Equal(("application/vnd.safetensors", true), (properties.ContentType, properties.Persistent));
        Assert.Equal(32, properties.MessageId!.Length);
        Assert.Equal(new Uri(Server.ConnectionString).UserInfo.Split(':')[0], properties.UserId);
        Assert.InRange(properties.Timestamp.UnixTime, 1_700_000_000, long.MaxValue);
    }

    [Fact]
    public async Task SubscribeAsync_QueueWithOtherSettings_SaysSo()
    {
        await Publish(Plane(Options(QueueKind.Quorum)), [1]);
        var other = Plane(Options(QueueKind.Quorum) with { MaximumQueueBytes = 1 << 20 });
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => Subscribe(other));
        Assert.Contains("other settings", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task DeleteRunAsync_OpenSubscription_Ends(QueueKind kind)
    {
        var plane = Plane(Options(kind));
        await using var subscription = await Subscribe(plane);
        var wait = subscription.WaitAsync(Token).AsTask();

        await plane.DeleteRunAsync(Run, ["a", "never used"], Token);

        Assert.False(await wait.Within());
        Assert.False(subscription.TryReceive(out _));
    }

    private string Queue => RabbitMqTopology.ActivationQueue(Run, "a");

    private Task<IActivationSubscription> Subscribe(RabbitMqDataPlane plane, int prefetch = 1, string client = "a") =>
        plane.SubscribeAsync(Run, client, prefetch, Token);

    private async Task Publish(RabbitMqDataPlane plane, byte[] body, string client = "a") =>
        Assert.Equal(PublishOutcome.Confirmed, await plane.PublishAsync(Run, client, body, Token).Within());

    /// <summary>The first byte of the next message, which stays in hand.</summary>
    private static async Task<int> Number(IActivationSubscription subscription) => (await Receive(subscription)).Body.Span[0];
}
