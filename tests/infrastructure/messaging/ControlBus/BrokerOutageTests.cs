using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.Messaging.ControlBus;

namespace SplitFrozen.Messaging.Tests.ControlBus;

/// <summary>The wire is cut, and the broker goes away and comes back.</summary>
[Collection(BrokerCollection.Name)]
public sealed class BrokerOutageTests(BrokerForTests broker)
{
    // The bus library looks for a lost broker every 3 to 30 seconds.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Restart_WhileASubscriberIsCutOff_DeliversWhatWasPublishedInBetween()
    {
        await using var relay = new TcpRelay(new Uri(broker.ConnectionString).Port);
        await using var publisher = await ConnectAsync(broker.ConnectionString);
        await using var subscriber = await ConnectAsync($"amqp://guest:guest@127.0.0.1:{relay.Port}/");
        var seen = new ConcurrentQueue<int>();
        using var subscription = subscriber.Subscribe<Ping>((ping, _) =>
        {
            seen.Enqueue(ping.Number);
            return default;
        });
        await subscriber.PublishAsync(new Ping(0), Token);
        await BrokerForTests.UntilAsync(() => Task.FromResult(!seen.IsEmpty), Limit);

        relay.Cut();
        for (var i = 1; i <= 20; i++)
        {
            await publisher.PublishAsync(new Ping(i), Token);
        }

        await broker.StopAsync();
        var waiting = publisher.PublishAsync(new Ping(21), Token).AsTask();
        Assert.False(waiting.IsCompleted);
        await broker.StartAsync();
        relay.Mend();

        await waiting.WaitAsync(Limit, Token);
        await BrokerForTests.UntilAsync(() => Task.FromResult(seen.Distinct().Count() == 22), Limit);
        Assert.Equal(Enumerable.Range(0, 22), seen.Distinct());
    }

    [Fact]
    public async Task BrokerAway_PublishingAndEnding_HonourTheirLimits()
    {
        var plane = await ConnectAsync(broker.ConnectionString);
        var impatient = await ConnectAsync(broker.ConnectionString, TimeSpan.FromSeconds(1));
        plane.Subscribe<Ping>((_, _) => default);
        await plane.PublishAsync(new Ping(0), Token);
        await broker.StopAsync();
        try
        {
            using var cancel = new CancellationTokenSource();
            var publishing = plane.PublishAsync(new Ping(1), cancel.Token).AsTask();
            Assert.False(publishing.IsCompleted);
            await cancel.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => publishing.Within());
            await Assert.ThrowsAsync<TimeoutException>(() => impatient.PublishAsync(new Ping(2), Token).AsTask().Within());

            var waited = Stopwatch.StartNew();
            await plane.DisposeAsync().AsTask().Within();
            await impatient.DisposeAsync().AsTask().Within();
            TestContext.Current.SendDiagnosticMessage($"Ended without a broker in {waited.Elapsed}.");
        }
        finally
        {
            await broker.StartAsync();
        }
    }

    private static Task<MassTransitControlPlane> ConnectAsync(string broker, TimeSpan? publishTimeout = null) =>
        MassTransitControlPlane.StartAsync(
            new ControlBusOptions
            {
                ConnectionString = broker,
                ProcessName = "test",
                StopTimeout = TimeSpan.FromSeconds(3),
                PublishTimeout = publishTimeout ?? TimeSpan.FromMinutes(2),
            },
            NullLoggerFactory.Instance, TimeProvider.System, Token);
}
