using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.Messaging.ControlBus;
using SplitFrozen.TestServers;

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
        await using var relay = new TcpProxy(new Uri(broker.ConnectionString).Port);
        await using var publisher = await ConnectAsync(Options());
        await using var subscriber = await ConnectAsync(Options(relay));
        var seen = new ConcurrentQueue<int>();
        using var subscription = subscriber.Subscribe<Ping>((ping, _) =>
        {
            seen.Enqueue(ping.Number);
            return default;
        });
        await subscriber.PublishAsync(new Ping(0), Token);
        await BrokerForTests.UntilAsync(() => Task.FromResult(!seen.IsEmpty), Limit);

        relay.Refuse();
        for (var i = 1; i <= 20; i++)
        {
            await publisher.PublishAsync(new Ping(i), Token);
        }

        await broker.StopAsync();
        var waiting = publisher.PublishAsync(new Ping(21), Token).AsTask();
        Assert.False(waiting.IsCompleted);
        await broker.StartAsync();
        relay.Resume();

        await waiting.WaitAsync(Limit, Token);
        await BrokerForTests.UntilAsync(() => Task.FromResult(seen.Distinct().Count() == 22), Limit);
        Assert.Equal(Enumerable.Range(0, 22), seen.Distinct());
    }

    [Fact]
    public async Task BrokerAway_PublishingAndEnding_HonourTheirLimits()
    {
        var plane = await ConnectAsync(Options());
        var impatient = await ConnectAsync(Options() with { PublishTimeout = TimeSpan.FromSeconds(1) });
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

    /// <summary>The bus library may give an endpoint up for ever; then nothing but this brings it back, so it must work in any state.</summary>
    [Fact]
    public async Task SubscriptionThatStaysAway_IsReplacedOnItsQueue_AndGetsEachMessageInOrder()
    {
        await using var relay = new TcpProxy(new Uri(broker.ConnectionString).Port);
        using var log = new LinesLogged();
        await using var publisher = await ConnectAsync(Options());
        await using var subscriber = await MassTransitControlPlane.StartAsync(
            Options(relay) with { Heartbeat = TimeSpan.FromSeconds(1) }, log, TimeProvider.System, Token);
        var (seen, running) = (new ConcurrentQueue<int>(), 0);
        using var subscription = subscriber.Subscribe<Ping>(async (ping, _) =>
        {
            Assert.Equal(1, Interlocked.Increment(ref running));
            await Task.Yield();
            seen.Enqueue(ping.Number);
            Interlocked.Decrement(ref running);
        });
        await subscriber.PublishAsync(new Ping(0), Token);
        var queue = Assert.Single(subscriber.Queues);
        await BrokerForTests.UntilAsync(() => Task.FromResult(!seen.IsEmpty), Limit);

        relay.Refuse();
        for (var i = 1; i <= 20; i++)
        {
            await publisher.PublishAsync(new Ping(i), Token);
        }

        await BrokerForTests.UntilAsync(() => Task.FromResult(log.Any($"Nothing has read {queue}")), Limit);
        relay.Resume();

        await BrokerForTests.UntilAsync(() => Task.FromResult(seen.Distinct().Count() == 21), Limit);
        Assert.Equal(Enumerable.Range(0, 21), seen.Distinct());
        Assert.Equal(queue, Assert.Single(subscriber.Queues));
        Assert.False(subscriber.FirstFailure.IsCompleted);
        await BrokerForTests.UntilAsync(() => Task.FromResult(subscriber.IsConnected), Limit);
    }

    private ControlBusOptions Options(TcpProxy? relay = null) => new()
    {
        ConnectionString = relay is null ? broker.ConnectionString : $"amqp://guest:guest@127.0.0.1:{relay.Port}/",
        ProcessName = "test",
        StopTimeout = TimeSpan.FromSeconds(3),
    };

    private static Task<MassTransitControlPlane> ConnectAsync(ControlBusOptions options) =>
        MassTransitControlPlane.StartAsync(options, NullLoggerFactory.Instance, TimeProvider.System, Token);

    private sealed class LinesLogged : ILoggerFactory, ILogger
    {
        private readonly ConcurrentQueue<string> _lines = new();

        public bool Any(string start) => _lines.Any(line => line.StartsWith(start, StringComparison.Ordinal));

        public ILogger CreateLogger(string categoryName) => this;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            _lines.Enqueue(formatter(state, exception));

        public bool IsEnabled(LogLevel logLevel) => true;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public void Dispose()
        {
        }
    }
}
