using RabbitMQ.Client;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.TestServers;

namespace SplitFrozen.Messaging.Tests.RabbitMq;

/// <summary>One broker for all tests that need one; they run one after the other, each in a run of its own.</summary>
public sealed class Broker : IAsyncLifetime
{
    public RabbitMqServer Server { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Server = await RabbitMqServer.StartNewAsync(CancellationToken.None);

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}

[CollectionDefinition(Name)]
public sealed class BrokerCollection : ICollectionFixture<Broker>
{
    public const string Name = "RabbitMQ";
}

/// <summary>What the tests of one class share: a run, its data planes, and a look at the broker beside them.</summary>
[Collection(BrokerCollection.Name)]
public abstract class RabbitMqTests : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _open = [];

    protected RabbitMqTests(Broker broker)
    {
        Assert.SkipWhen(broker.Server.SkipReason is not null, broker.Server.SkipReason ?? "");
        Server = broker.Server;
    }

    protected static CancellationToken Token => TestContext.Current.CancellationToken;

    protected RabbitMqServer Server { get; }

    protected string Run { get; } = $"run-{Guid.NewGuid():N}";

    public async ValueTask DisposeAsync()
    {
        foreach (var open in Enumerable.Reverse(_open))
        {
            await open.DisposeAsync();
        }
    }

    protected RabbitMqOptions Options(QueueKind kind) => new() { ConnectionString = Server.ConnectionString, QueueKind = kind };

    protected RabbitMqDataPlane Plane(RabbitMqOptions options) => Own(new RabbitMqDataPlane(
        options,
        new RabbitMqResilience(
            Backoff.OnFailure(RabbitMqFailures.IsPassing, TimeProvider.System, 1),
            Backoff.While<PublishOutcome>(outcome => outcome == PublishOutcome.QueueFull, TimeProvider.System, 2)),
        TimeProvider.System));

    protected T Own<T>(T disposable)
        where T : IAsyncDisposable
    {
        _open.Add(disposable);
        return disposable;
    }

    /// <summary>A plain channel to the broker, beside the data plane.</summary>
    protected async Task<IChannel> RawChannel()
    {
        var connection = Own(await new ConnectionFactory { Uri = new Uri(Server.ConnectionString) }.CreateConnectionAsync(Token));
        return Own(await connection.CreateChannelAsync(new CreateChannelOptions(true, true), Token));
    }

    /// <summary>Waits until the broker counts so many messages ready in a queue.</summary>
    protected static Task UntilReady(IChannel channel, string queue, Predicate<uint> count) =>
        Until(async () => count(await channel.MessageCountAsync(queue, Token)));

    protected static async Task Until(Func<Task<bool>> condition)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(Token);
        deadline.CancelAfter(TimeSpan.FromSeconds(60));
        while (!await condition())
        {
            await Task.Delay(20, deadline.Token);
        }
    }

    /// <summary>The dead letters of this test's run, when there are so many.</summary>
    protected async Task<DeadLetter[]> DeadLetters(RabbitMqDataPlane plane, int count)
    {
        DeadLetter[] letters = [];
        await Until(async () =>
        {
            letters = [.. (await plane.DeadLetters.PeekAsync(1000, Token)).Where(letter => letter.RunId == Run)];
            return letters.Length >= count;
        });
        Assert.Equal(count, letters.Length);
        return letters;
    }

    protected static async Task<IActivationDelivery> Receive(IActivationSubscription subscription)
    {
        IActivationDelivery? delivery;
        while (!subscription.TryReceive(out delivery))
        {
            Assert.True(await subscription.WaitAsync(Token).AsTask().WaitAsync(TimeSpan.FromSeconds(90), Token));
        }

        return delivery!;
    }
}
