using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.ControlBus;

namespace SplitFrozen.Messaging.Tests.ControlBus;

[Collection(BrokerCollection.Name)]
public sealed class MassTransitControlPlaneTests(BrokerForTests broker) : ControlPlaneContract
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly string _errors = $"errors-{Guid.NewGuid():N}";

    private ControlBusOptions Options => new()
    {
        ConnectionString = broker.ConnectionString,
        ProcessName = "test",
        ErrorQueue = _errors,
        RetryCount = 2,
        RetryInterval = TimeSpan.FromMilliseconds(10),
        QueueExpiration = TimeSpan.FromMinutes(1),
    };

    // Not inlined, so that no local of the test keeps what it looks for.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<WeakReference<byte[]>> SubscribeForAWhileAsync(MassTransitControlPlane plane)
    {
        var data = new byte[1000];
        using var subscription = plane.Subscribe<Ping>((ping, _) =>
        {
            data[0] = (byte)ping.Number;
            return default;
        });
        await plane.PublishAsync(new Ping(1), Token);
        return new WeakReference<byte[]>(data);
    }

    private protected override async Task<PlaneUnderTest> StartAsync()
    {
        var plane = await ConnectAsync(Options);
        return new PlaneUnderTest(plane, plane.FirstFailure, plane.DisposeAsync);
    }

    [Fact]
    public async Task Subscribe_BeforeAQuestion_GetsTheAnswerOfAnotherProcess()
    {
        await using var asking = await ConnectAsync(Options);
        await using var answering = await ConnectAsync(Options);
        using var questions = answering.Subscribe<Pong>((_, token) => answering.PublishAsync(new Ping(7), token));
        await answering.PublishAsync(new Ping(0), Token);
        var answers = new Recorder(1);

        using var subscription = asking.Subscribe<Ping>(answers.HandleAsync);
        await asking.PublishAsync(new Pong("?"), Token);

        Assert.Equal(new[] { 7 }, await answers.All.Within());
    }

    [Fact]
    public async Task PublishAsync_HandlerThatRecovers_IsRetriedInPlaceAndNotReported()
    {
        await using var plane = await ConnectAsync(Options);
        var all = new Recorder(2);
        var attempts = 0;
        using var subscription = plane.Subscribe<Ping>((ping, token) =>
            ++attempts <= 2 ? throw new InvalidOperationException("not yet") : all.HandleAsync(ping, token));

        await plane.PublishAsync(new Ping(0), Token);
        await plane.PublishAsync(new Ping(1), Token);

        Assert.Equal(new[] { 0, 1 }, await all.All.Within());
        Assert.Equal(4, attempts);
        Assert.False(plane.FirstFailure.IsCompleted);
    }

    [Fact]
    public async Task HostileMessages_OnALiveQueue_GoToTheOneErrorQueueAndHarmNobody()
    {
        await using var plane = await ConnectAsync(Options);
        var all = new Recorder(1);
        using var subscription = plane.Subscribe<Ping>(all.HandleAsync);
        await plane.PublishAsync(new Pong("connects"), Token);
        var queue = Assert.Single(plane.Queues);
        await using var connection = await new ConnectionFactory { Uri = new Uri(broker.ConnectionString) }.CreateConnectionAsync(Token);
        await using var channel = await connection.CreateChannelAsync(cancellationToken: Token);
        const string Json = "application/vnd.masstransit+json";
        (string Type, string Body)[] hostile =
        [
            (Json, "not json at all"), (Json, ""), (Json, "null"), (Json, "[1,2"), ("text/plain", "hello"), ("no/type", "\0\0"),
            (Json, """{"messageType":["urn:message:Nobody:Knows"],"message":{"number":1}}"""),
            (Json, $$"""{"messageType":["{{Urn}}"],"message":{"number":"x"} }"""),
            (Json, $$"""{"messageType":["{{Urn}}"],"message":[]}"""),
        ];

        foreach (var (type, body) in hostile)
        {
            await channel.BasicPublishAsync(Exchange, "", true, new BasicProperties { ContentType = type }, Encoding.UTF8.GetBytes(body), Token);
        }

        await plane.PublishAsync(new Ping(5), Token);
        Assert.Equal(new[] { 5 }, await all.All.Within());
        await BrokerForTests.UntilAsync(async () => await channel.MessageCountAsync(_errors, Token) == (uint)hostile.Length, Limit);
        Assert.False(await ExistsAsync(connection, channel => channel.QueueDeclarePassiveAsync(queue + "_error", Token)));
        Assert.False(await ExistsAsync(connection, channel => channel.QueueDeclarePassiveAsync(queue + "_skipped", Token)));
        await channel.QueueDeleteAsync(_errors, cancellationToken: Token);
        await channel.ExchangeDeleteAsync(_errors, cancellationToken: Token);
    }

    /// <summary>The bus library keeps a part of every endpoint until its bus ends.</summary>
    [Fact]
    public async Task Subscribe_AgainAndAgain_BusesTakeTurnsAndTheOldOnesEnd()
    {
        await using var plane = await ConnectAsync(Options with { EndpointsPerBus = 4 });
        var lasting = new Recorder(40);
        using var kept = plane.Subscribe<Ping>(lasting.HandleAsync);
        var most = 0;
        for (var number = 0; number < 40; number++)
        {
            var passing = new Recorder(1);
            using (plane.Subscribe<Ping>(passing.HandleAsync))
            {
                await plane.PublishAsync(new Ping(number), Token);
                Assert.Equal(new[] { number }, await passing.All.Within());
            }

            most = Math.Max(most, plane.Buses);
        }

        Assert.Equal(Enumerable.Range(0, 40), await lasting.All.Within());
        await BrokerForTests.UntilAsync(() => Task.FromResult(plane.Queues.Length == 1 && plane.Buses <= 2), Limit);
        Assert.InRange(most, 2, 10);
        Assert.False(plane.FirstFailure.IsCompleted);
    }

    /// <summary>A service lives on from run to run: what a run's handlers hold, data and models among it, must go with its subscriptions.</summary>
    [Fact]
    public async Task Dispose_Subscription_LetsGoOfWhatItsHandlerHolds()
    {
        await using var plane = await ConnectAsync(Options);
        var held = await SubscribeForAWhileAsync(plane);
        await BrokerForTests.UntilAsync(() => Task.FromResult(plane.Queues.Length == 0), Limit);

        await BrokerForTests.UntilAsync(
            () =>
            {
                GC.Collect();
                return Task.FromResult(!held.TryGetTarget(out _));
            },
            Limit);
    }

    [Fact]
    public async Task Dispose_Subscription_RemovesItsQueueAndExchange()
    {
        await using var plane = await ConnectAsync(Options);
        var subscription = plane.Subscribe<RunFinished>((_, _) => default);
        await plane.PublishAsync(new RunFinished("run", 1), Token);
        var queue = Assert.Single(plane.Queues);
        await using var connection = await new ConnectionFactory { Uri = new Uri(broker.ConnectionString) }.CreateConnectionAsync(Token);
        Assert.True(await ExistsAsync(connection, channel => channel.QueueDeclarePassiveAsync(queue, Token)));

        subscription.Dispose();
        await plane.DisposeAsync();

        Assert.False(await ExistsAsync(connection, channel => channel.QueueDeclarePassiveAsync(queue, Token)));
        Assert.False(await ExistsAsync(connection, channel => channel.ExchangeDeclarePassiveAsync(queue, Token)));
        Assert.Empty(plane.Queues);
        foreach (var type in new[] { nameof(IRunMessage), nameof(IAddressedMessage) })
        {
            Assert.False(await ExistsAsync(connection, channel => channel.ExchangeDeclarePassiveAsync($"SplitFrozen.Contracts.Messages:{type}", Token)));
        }
    }

    [Fact]
    public async Task StartAsync_NoBroker_SaysWhereItLooked()
    {
        var options = new ControlBusOptions
        {
            ConnectionString = "amqp://user:secret@127.0.0.1:1/", ProcessName = "test", StartTimeout = TimeSpan.FromSeconds(1),
        };

        var exception = await Assert.ThrowsAsync<TimeoutException>(() => ConnectAsync(options).Within());

        Assert.Contains("amqp://127.0.0.1:1/", exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", exception.Message, StringComparison.Ordinal);
    }

    private static string Exchange => $"{typeof(Ping).Namespace}:{nameof(Ping)}";

    private static string Urn => $"urn:message:{typeof(Ping).Namespace}:{nameof(Ping)}";

    private static Task<MassTransitControlPlane> ConnectAsync(ControlBusOptions options) =>
        MassTransitControlPlane.StartAsync(options, NullLoggerFactory.Instance, TimeProvider.System, Token);

    /// <summary>Asks on a channel of its own: the broker closes it where the answer is no.</summary>
    private static async Task<bool> ExistsAsync(IConnection connection, Func<IChannel, Task> declare)
    {
        await using var channel = await connection.CreateChannelAsync(cancellationToken: Token);
        try
        {
            await declare(channel);
            return true;
        }
        catch (OperationInterruptedException)
        {
            return false;
        }
    }
}
