using RabbitMQ.Client;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Messaging.Tests.RabbitMq;

public sealed class RabbitMqStepsTests(Broker broker) : RabbitMqTests(broker)
{
    [Fact]
    public async Task PublishAsync_AllFields_ArriveAsTheyWere()
    {
        var plane = Plane(Options(QueueKind.Quorum));
        var step = new StepMessage(
            Run, "start-1", (1L << 40) + 3, 1L << 41, StepKind.Evaluate, 2, 17, 99, 1, 4, true,
            [new SampleReference(SampleId.Training(5), "a", 3, "key/1"), new SampleReference(SampleId.Evaluation(7), "é \"b\"", 0, "key/2")]);
        await plane.PublishAsync(step, Token);
        await using var receiver = Receiver(plane);

        var received = (await Next(receiver)).Step;

        Assert.Equal(step.Samples, received.Samples);
        Assert.Equal(step with { Samples = received.Samples }, received);
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task PublishAsync_TrainerTooFarBehind_WaitsForIt(QueueKind kind)
    {
        const int Steps = 40;
        var plane = Plane(Options(kind) with { MaximumWaitingSteps = 4 });
        var publishing = Task.Run(async () =>
        {
            for (var i = 0; i < Steps; i++)
            {
                await plane.PublishAsync(Step(i), Token);
            }
        }, Token);
        var channel = await RawChannel();
        await using (var receiver = Receiver(plane))
        {
            // The queue is there with the first receiver at the latest.
            Assert.Equal(0, (await Next(receiver)).Step.Sequence);
        }

        await UntilReady(channel, RabbitMqTopology.StepQueue(Run), ready => ready >= 4);
        Assert.False(publishing.IsCompleted);

        await using var second = Receiver(plane);
        for (var i = 0; i < Steps; i++)
        {
            Assert.Equal(i, (await Next(second)).Step.Sequence);
        }

        await publishing.Within();
    }

    /// <summary>The trainer acknowledges only at a checkpoint, so what it holds must not block what comes next.</summary>
    [Fact]
    public async Task ReceiveAsync_ManyUnacknowledged_DoesNotBlockThePublisher()
    {
        var plane = Plane(Options(QueueKind.Quorum));
        await using var receiver = Receiver(plane);
        for (var i = 0; i < 300; i++)
        {
            await plane.PublishAsync(Step(i), Token).Within();
            Assert.Equal(i, (await Next(receiver)).Step.Sequence);
        }
    }

    [Theory]
    [InlineData(QueueKind.Quorum)]
    [InlineData(QueueKind.Classic)]
    public async Task ReceiveAsync_AfterAReceiverEnded_TakesOverWhatWasNotAcknowledged(QueueKind kind)
    {
        var plane = Plane(Options(kind));
        var first = Receiver(plane);
        var deliveries = new List<IStepDelivery>();
        for (var i = 0; i < 4; i++)
        {
            await plane.PublishAsync(Step(i), Token);
            deliveries.Add(await Next(first));
        }

        await deliveries[1].AcknowledgeAsync(Token);
        await using var second = Receiver(Plane(Options(kind)));
        var waiting = second.MoveNextAsync().AsTask();
        await first.DisposeAsync();

        Assert.True(await waiting.Within());
        Assert.Equal((0L, 2L, 3L), (second.Current.Step.Sequence, (await Next(second)).Step.Sequence, (await Next(second)).Step.Sequence));
        await deliveries[0].AcknowledgeAsync(Token);
    }

    [Fact]
    public async Task ReceiveAsync_NotAStepMessage_GoesToTheDeadLetters()
    {
        var plane = Plane(Options(QueueKind.Quorum));
        await plane.PublishAsync(Step(0), Token);
        var channel = await RawChannel();
        var user = new BasicProperties { UserId = new Uri(Server.ConnectionString).UserInfo.Split(':')[0] };
        foreach (var (properties, text) in new[]
        {
            (user, "{"), (user, "null"), (user, $"{{\"run_id\":\"{Run}\"}}"), (new BasicProperties(), "{}"),
        })
        {
            await channel.BasicPublishAsync(RabbitMqTopology.StepExchange, Run, true, properties, System.Text.Encoding.UTF8.GetBytes(text), Token);
        }

        await plane.PublishAsync(Step(1), Token);
        await using var receiver = Receiver(plane);

        Assert.Equal((0L, 1L), ((await Next(receiver)).Step.Sequence, (await Next(receiver)).Step.Sequence));
        var letters = await DeadLetters(plane, 4);
        Assert.All(letters[..3], letter => Assert.StartsWith("The message is not a step message", letter.Reason, StringComparison.Ordinal));
        Assert.Contains("no user-id", letters[3].Reason, StringComparison.Ordinal);
        Assert.Equal("{"u8.ToArray(), letters[0].Body);
    }

    [Fact]
    public async Task ReceiveAsync_StepOfADevicesUser_IsRefused()
    {
        Assert.SkipWhen(Server.UsersSkipReason is not null, Server.UsersSkipReason ?? "");
        var user = $"u{Guid.NewGuid():N}";
        await Server.AddUserAsync(user, "secret", Token);
        var trainer = Plane(Options(QueueKind.Quorum));
        await Plane(Options(QueueKind.Quorum) with { ConnectionString = Server.ConnectionStringFor(user, "secret") }).PublishAsync(Step(0), Token);
        await trainer.PublishAsync(Step(1), Token);
        await using var receiver = Receiver(trainer);

        Assert.Equal(1, (await Next(receiver)).Step.Sequence);
        Assert.Contains("may not publish steps", Assert.Single(await DeadLetters(trainer, 1)).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ReceiveAsync_Cancelled_ThrowsAndKeepsTheMessages()
    {
        var plane = Plane(Options(QueueKind.Quorum));
        await plane.PublishAsync(Step(0), Token);
        using var source = new CancellationTokenSource();
        await using (var receiver = plane.ReceiveAsync(Run, source.Token).GetAsyncEnumerator(Token))
        {
            await Next(receiver);
            var waiting = receiver.MoveNextAsync().AsTask();
            await source.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.Within());
        }

        await using var next = Receiver(plane);
        Assert.Equal(0, (await Next(next)).Step.Sequence);
    }

    [Fact]
    public async Task DeleteRunAsync_Receiver_Ends()
    {
        var plane = Plane(Options(QueueKind.Quorum));
        await plane.PublishAsync(Step(0), Token);
        await using var receiver = Receiver(plane);
        await Next(receiver);
        var waiting = receiver.MoveNextAsync().AsTask();

        await plane.DeleteRunAsync(Run, [], Token);

        Assert.False(await waiting.Within());
    }

    private StepMessage Step(long sequence) => new(Run, "start", sequence, 1000, StepKind.Train, 0, (int)sequence, 1000, 0, 1, false, []);

    private IAsyncEnumerator<IStepDelivery> Receiver(RabbitMqDataPlane plane) => plane.ReceiveAsync(Run, Token).GetAsyncEnumerator(Token);

    private static async Task<IStepDelivery> Next(IAsyncEnumerator<IStepDelivery> receiver)
    {
        Assert.True(await receiver.MoveNextAsync().AsTask().Within());
        return receiver.Current;
    }
}
