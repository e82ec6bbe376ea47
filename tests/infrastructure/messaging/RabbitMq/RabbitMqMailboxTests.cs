using System.Text;
using RabbitMQ.Client;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Messaging.Tests.RabbitMq;

public sealed class RabbitMqMailboxTests(Broker broker) : RabbitMqTests(broker)
{
    private StageAddress Address => new(Run, "session", "1.2");

    [Fact]
    public async Task SendAsync_BodiesOfAnySize_ArriveWholeAndInOrder()
    {
        var (plane, other) = (Plane(Options(QueueKind.Classic)), Plane(Options(QueueKind.Classic)));
        await using var mailbox = (await plane.Stages.TryOpenAsync(Address, Token))!;
        byte[][] bodies = [[], [1, 2, 3], Random(FrameAssembler.FrameBytes), Random((2 * FrameAssembler.FrameBytes) + 5), Random(100)];
        foreach (var body in bodies)
        {
            await other.Stages.SendAsync(Address, body, Token);
        }

        Assert.Equal(bodies, await TakeAsync(mailbox, bodies.Length));
    }

    [Fact]
    public async Task SendAsync_QueueSmallerThanWhatComes_WaitsForTheReceiver()
    {
        var options = Options(QueueKind.Classic) with { StageQueueBytes = 16L << 20 };
        var (plane, other) = (Plane(options), Plane(options));
        await using var mailbox = (await plane.Stages.TryOpenAsync(Address, Token))!;
        var body = Random(3 * FrameAssembler.FrameBytes);
        var sending = Task.Run(async () =>
        {
            for (var n = 0; n < 12; n++)
            {
                await other.Stages.SendAsync(Address, body, Token);
            }
        }, Token);
        Assert.All(await TakeAsync(mailbox, 12), received => Assert.Equal(body, received));
        await sending.Within();
    }

    [Fact]
    public async Task TryOpenAsync_WhileAnotherHasIt_IsNullAndFreeAfterwards()
    {
        var (plane, other) = (Plane(Options(QueueKind.Classic)), Plane(Options(QueueKind.Classic)));
        var mailbox = (await plane.Stages.TryOpenAsync(Address, Token))!;
        Assert.Null(await other.Stages.TryOpenAsync(Address, Token));
        Assert.Null(await plane.Stages.TryOpenAsync(Address, Token));
        await mailbox.DisposeAsync();
        await using var second = await other.Stages.TryOpenAsync(Address, Token);
        Assert.NotNull(second);
    }

    [Fact]
    public async Task SendAsync_NobodyThere_SaysSoAtOnce()
    {
        var (plane, other) = (Plane(Options(QueueKind.Classic)), Plane(Options(QueueKind.Classic)));
        await Assert.ThrowsAsync<MailboxGoneException>(() => plane.Stages.SendAsync(Address, new byte[1], Token));
        await using var mailbox = (await other.Stages.TryOpenAsync(Address, Token))!;
        await plane.Stages.SendAsync(Address, new byte[1], Token);

        // As a process that was killed: its connection goes, and the queue with it.
        await other.DisposeAsync();
        await Until(async () => await Record.ExceptionAsync(() => plane.Stages.SendAsync(Address, new byte[1], Token)) is MailboxGoneException);
        await Assert.ThrowsAsync<MailboxGoneException>(() => TakeAsync(mailbox, 2));
    }

    [Fact]
    public async Task Receive_FromAStranger_GoesToTheDeadLettersAndTheRestArrives()
    {
        var plane = Plane(Options(QueueKind.Classic));
        await using var mailbox = (await plane.Stages.TryOpenAsync(Address, Token))!;
        await RawAsync(new BasicProperties(), new byte[3]);
        await plane.Stages.SendAsync(Address, new byte[] { 7 }, Token);
        Assert.Equal([[7]], await TakeAsync(mailbox, 1));
        await AssertBuriedAsync(plane, "no user-id");
    }

    [Fact]
    public async Task Receive_WhatWasDamaged_EndsTheMailboxAndGoesToTheDeadLetters()
    {
        var plane = Plane(Options(QueueKind.Classic));
        await using var mailbox = (await plane.Stages.TryOpenAsync(Address, Token))!;
        var (headers, frame) = FrameAssembler.Split("t", new byte[] { 1, 2, 3 }).Single();
        await RawAsync(new BasicProperties { UserId = "guest", Headers = headers }, [.. frame.Span[..2], 9]);
        var fault = await Assert.ThrowsAsync<MailboxGoneException>(() => TakeAsync(mailbox, 1));
        Assert.Contains("checksum", fault.Message, StringComparison.Ordinal);
        await AssertBuriedAsync(plane, "checksum");
    }

    [Fact]
    public void Assembler_FramesOfTwoBodiesMixed_GivesBoth()
    {
        var assembler = new FrameAssembler(64L << 20);
        var (one, two) = (Random(FrameAssembler.FrameBytes + 1), Random(FrameAssembler.FrameBytes + 2));
        var mixed = FrameAssembler.Split("one", one).Zip(FrameAssembler.Split("two", two)).SelectMany(pair => new[] { pair.First, pair.Second });
        var whole = mixed.Select(frame => assembler.Add(OverTheWire(frame.Headers), frame.Frame.Span)).Select(result => result.Body).OfType<byte[]>();
        Assert.Equal([one, two], whole);
    }

    [Fact]
    public void Assembler_WhatBreaksItsBounds_IsRefused()
    {
        var frames = FrameAssembler.Split("t", Random((2 * FrameAssembler.FrameBytes) + 1)).ToArray();
        Assert.Contains("Frame 1 of 3 came where frame 0", Add(new FrameAssembler(64L << 20), frames[1]), StringComparison.Ordinal);
        var small = new FrameAssembler(FrameAssembler.FrameBytes + 1);
        Assert.Null(Add(small, frames[0]));
        Assert.Contains("more than", Add(small, frames[1]), StringComparison.Ordinal);
        var many = new FrameAssembler(1L << 30);
        var begun = Enumerable.Range(0, 65).Select(n => Add(many, frames[0], $"t{n}")).ToArray();
        Assert.All(begun[..64], Assert.Null);
        Assert.Contains("no more are taken", begun[64], StringComparison.Ordinal);
        Assert.Contains("does not say", new FrameAssembler(1).Add(null, []).Fault, StringComparison.Ordinal);
    }

    private static string? Add(FrameAssembler assembler, (Dictionary<string, object?> Headers, ReadOnlyMemory<byte> Frame) frame, string? transfer = null)
    {
        var headers = OverTheWire(frame.Headers);
        if (transfer is not null)
        {
            headers["splitfrozen-transfer"] = Encoding.UTF8.GetBytes(transfer);
        }

        return assembler.Add(headers, frame.Frame.Span).Fault;
    }

    /// <summary>Texts arrive as bytes.</summary>
    private static Dictionary<string, object?> OverTheWire(Dictionary<string, object?> headers) =>
        headers.ToDictionary(header => header.Key, header => header.Value is string text ? Encoding.UTF8.GetBytes(text) : header.Value);

    private static byte[] Random(int length)
    {
        var body = new byte[length];
        new Random(length).NextBytes(body);
        return body;
    }

    private static async Task<byte[][]> TakeAsync(IStageMailbox mailbox, int count)
    {
        var bodies = new List<byte[]>();
        await foreach (var body in mailbox.ReceiveAsync(Token))
        {
            bodies.Add(body);
            if (bodies.Count == count)
            {
                break;
            }
        }

        return [.. bodies];
    }

    private async Task RawAsync(BasicProperties properties, byte[] body)
    {
        var channel = await RawChannel();
        await channel.BasicPublishAsync("", RabbitMqTopology.StageQueue(Address), mandatory: true, properties, body, Token);
    }

    private async Task AssertBuriedAsync(RabbitMqDataPlane plane, string reason) =>
        Assert.Contains(reason, (await DeadLetters(plane, 1))[0].Reason, StringComparison.Ordinal);
}
