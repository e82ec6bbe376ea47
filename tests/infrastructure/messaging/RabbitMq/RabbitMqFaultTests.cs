using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.TestServers;

namespace SplitFrozen.Messaging.Tests.RabbitMq;

/// <summary>The broker or the wire goes away in the middle of work: nothing confirmed is lost, and both ends go on by themselves.</summary>
public sealed class RabbitMqFaultTests(Broker broker) : RabbitMqTests(broker)
{
    private static readonly TimeSpan Recovery = TimeSpan.FromSeconds(90);

    /// <summary>
    /// Without a killed quorum queue: a single node of RabbitMQ 3.10.8 was seen to elect no leader for one again.
    /// </summary>
    [Theory]
    [InlineData(QueueKind.Quorum, false)]
    [InlineData(QueueKind.Classic, false)]
    [InlineData(QueueKind.Classic, true)]
    public async Task BrokerRestarts_DuringWork_LosesNothing(QueueKind kind, bool killed)
    {
        Assert.SkipWhen(Server.ControlSkipReason is not null, Server.ControlSkipReason ?? "");
        var plane = Plane(Options(kind));
        await using var subscription = await plane.SubscribeAsync(Run, "a", 2, Token);
        await using var receiver = plane.ReceiveAsync(Run, Token).GetAsyncEnumerator(Token);
        for (byte i = 0; i < 4; i++)
        {
            Assert.Equal(PublishOutcome.Confirmed, await plane.PublishAsync(Run, "a", new[] { i }, Token));
            await plane.PublishAsync(Step(i), Token);
        }

        var stale = await Receive(subscription);
        var staleStep = await Next(receiver);

        await (killed ? Server.KillAsync() : Server.StopAsync(Token));
        var publishing = plane.PublishAsync(Run, "a", new byte[] { 4 }, Token);
        var publishingStep = plane.PublishAsync(Step(4), Token);
        await Server.StartAsync(Token);

        Assert.Equal(PublishOutcome.Confirmed, await publishing.WaitAsync(Recovery, Token));
        await publishingStep.WaitAsync(Recovery, Token);
        await AcknowledgeUntil(subscription, [0, 1, 2, 3, 4]);
        var steps = new HashSet<long>();
        while (steps.Count < 5)
        {
            var step = await Next(receiver);
            steps.Add(step.Step.Sequence);
            await step.AcknowledgeAsync(Token);
        }

        await stale.AcknowledgeAsync(Token);
        await stale.RejectAsync("stale", Token);
        await staleStep.AcknowledgeAsync(Token);
        Assert.Empty(await DeadLetters(plane, 0));
    }

    [Fact]
    public async Task ConnectionCut_DuringWork_GoesOn()
    {
        await using var proxy = new TcpProxy(Server.Port, new Uri(Server.ConnectionString).Host);
        var plane = Plane(Options(QueueKind.Quorum) with { ConnectionString = Server.ConnectionStringFor(port: proxy.Port) });
        await using var subscription = await plane.SubscribeAsync(Run, "a", 5, Token);
        await plane.PublishAsync(Run, "a", new byte[] { 0 }, Token);
        var stale = await Receive(subscription);

        proxy.Cut();
        Assert.Equal(PublishOutcome.Confirmed, await plane.PublishAsync(Run, "a", new byte[] { 1 }, Token).WaitAsync(Recovery, Token));
        await stale.AcknowledgeAsync(Token);
        await AcknowledgeUntil(subscription, [0, 1]);

        proxy.Refuse();
        var publishing = plane.PublishAsync(Run, "a", new byte[] { 2 }, Token);
        var attempts = proxy.Accepted;
        await Until(() => Task.FromResult(proxy.Accepted > attempts + 2));
        Assert.False(publishing.IsCompleted);
        proxy.Resume();

        Assert.Equal(PublishOutcome.Confirmed, await publishing.WaitAsync(Recovery, Token));
        await AcknowledgeUntil(subscription, [2]);
    }

    [Fact]
    public async Task WireSilent_ForLongerThanTheHeartbeat_IsTakenForLostAndGoesOn()
    {
        await using var proxy = new TcpProxy(Server.Port, new Uri(Server.ConnectionString).Host);
        var plane = Plane(Options(QueueKind.Quorum) with { ConnectionString = Server.ConnectionStringFor(port: proxy.Port), Heartbeat = TimeSpan.FromSeconds(1) });
        await using var subscription = await plane.SubscribeAsync(Run, "a", 5, Token);
        await plane.PublishAsync(Run, "a", new byte[] { 0 }, Token);
        await AcknowledgeUntil(subscription, [0]);
        var connections = proxy.Accepted;

        proxy.Blackhole();
        var publishing = plane.PublishAsync(Run, "a", new byte[] { 1 }, Token);
        await Until(() => Task.FromResult(proxy.Accepted >= connections + 2));
        proxy.Resume();

        Assert.Equal(PublishOutcome.Confirmed, await publishing.WaitAsync(Recovery, Token));
        await AcknowledgeUntil(subscription, [1]);
    }

    [Fact]
    public async Task SlowWire_LargeBodies_ArriveWhole()
    {
        await using var proxy = new TcpProxy(Server.Port, new Uri(Server.ConnectionString).Host) { Delay = TimeSpan.FromMilliseconds(2) };
        var plane = Plane(Options(QueueKind.Quorum) with { ConnectionString = Server.ConnectionStringFor(port: proxy.Port) });
        var body = new byte[3 << 20];
        for (var i = 0; i < body.Length; i++)
        {
            body[i] = (byte)(i * 31 >> 3);
        }

        await plane.PublishAsync(Run, "a", body, Token);
        await using var subscription = await plane.SubscribeAsync(Run, "a", 1, Token);

        Assert.True((await Receive(subscription)).Body.Span.SequenceEqual(body));
    }

    private StepMessage Step(long sequence) => new(Run, "start", sequence, 10, StepKind.Train, 0, (int)sequence, 10, 0, 1, false, []);

    /// <summary>Takes and acknowledges messages until each of these has come; repeats are fine, others are not.</summary>
    private static async Task AcknowledgeUntil(IActivationSubscription subscription, int[] expected)
    {
        var missing = expected.ToHashSet();
        while (missing.Count > 0)
        {
            var delivery = await Receive(subscription);
            missing.Remove(delivery.Body.Span[0]);
            Assert.InRange(delivery.Body.Span[0], 0, expected.Max());
            await delivery.AcknowledgeAsync(Token);
        }
    }

    private static async Task<IStepDelivery> Next(IAsyncEnumerator<IStepDelivery> receiver)
    {
        Assert.True(await receiver.MoveNextAsync().AsTask().WaitAsync(Recovery, Token));
        return receiver.Current;
    }
}
