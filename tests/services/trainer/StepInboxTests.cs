using CsCheck;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.Telemetry;
using SplitFrozen.Trainer;

namespace SplitFrozen.Services.Tests.Trainer;

public sealed class StepInboxTests
{
    [Fact]
    public void Accept_RepeatedAndReorderedDeliveries_AreHandedOutOnceInOrderAndAllSettled() => Gen.Select(Gen.Int[1, 30], Gen.ULong).Sample((count, seed) =>
    {
        var random = new SeededRandom(seed);
        var deliveries = Enumerable.Range(0, count).SelectMany(n => Enumerable.Repeat(n, 1 + random.NextInt32(3))).Select(n => new Delivery(n)).ToArray();
        random.Shuffle<Delivery>(deliveries);
        using var inbox = new StepInbox(0, 100);
        var handedOut = new List<long>();
        foreach (var delivery in deliveries)
        {
            if (inbox.Accept(delivery).Done is Delivery done)
            {
                done.Settled++;
            }

            while (inbox.TryTake() is { } taken)
            {
                handedOut.Add(taken.Step.Sequence);
            }

            if (random.NextInt32(4) == 0)
            {
                SettleAll(inbox, handedOut.Count);
            }
        }

        SettleAll(inbox, count);
        Assert.Equal(Enumerable.Range(0, count).Select(n => (long)n), handedOut);
        Assert.All(deliveries, delivery => Assert.Equal(1, delivery.Settled));
        Assert.Equal(0, inbox.Unacknowledged);
    });

    [Fact]
    public void Accept_StepThatIsNotDurableYet_IsNotSettledBeforeItIs()
    {
        using var inbox = new StepInbox(0, 10);
        var first = new Delivery(0);
        inbox.Accept(first);
        Assert.NotNull(inbox.TryTake());
        Assert.Empty(inbox.MarkDurable(0));
        Assert.Null(inbox.Accept(new Delivery(0)).Done);
        Assert.Equal(2, inbox.MarkDurable(1).Count);
        Assert.NotNull(inbox.Accept(new Delivery(0)).Done);
    }

    [Fact]
    public void Accept_StepIsMissingBetween_ToldOnceAndRefusedWhenTheWindowIsFull()
    {
        using var inbox = new StepInbox(4, 2);
        Assert.True(inbox.Accept(new Delivery(5)).OpensGap);
        Assert.False(inbox.Accept(new Delivery(6)).OpensGap);
        Assert.Equal(4, inbox.Next);
        var error = Assert.Throws<TrainerException>(() => inbox.Accept(new Delivery(7)));
        Assert.Contains("Step message 4", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Return_StepThatCannotBePrepared_IsHandedOutAgainWhenRepeated()
    {
        using var inbox = new StepInbox(0, 10);
        inbox.Accept(new Delivery(0));
        Assert.Equal(0, (await inbox.TakeAsync(TestContext.Current.CancellationToken)).Step.Sequence);
        inbox.Return();
        Assert.False(inbox.Accept(new Delivery(1)).OpensGap);
        Assert.Null(inbox.TryTake());
        inbox.Accept(new Delivery(0));
        Assert.Equal(0, inbox.TryTake()!.Step.Sequence);
        Assert.Equal(1, inbox.TryTake()!.Step.Sequence);
    }

    private static void SettleAll(StepInbox inbox, long durable)
    {
        foreach (var delivery in inbox.MarkDurable(durable).Cast<Delivery>())
        {
            Assert.True(delivery.Step.Sequence < durable);
            delivery.Settled++;
        }
    }

    private sealed class Delivery(long sequence) : IStepDelivery
    {
        public int Settled { get; set; }

        public StepMessage Step { get; } = new("run", "start", sequence, 1000, StepKind.Train, 0, (int)sequence, 1000, 0, 1, false, []);

        public MessageTrace Trace { get; } = new(new MessageQueue("test", "steps", "steps", "run", ClientId: null), MessageId: null, Bytes: 0, Parent: default);

        public ValueTask AcknowledgeAsync(CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }
}
