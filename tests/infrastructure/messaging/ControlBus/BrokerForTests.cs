using SplitFrozen.TestServers;

namespace SplitFrozen.Messaging.Tests.ControlBus;

/// <summary>A RabbitMQ that the control plane's tests share, and that some of them stop and start.</summary>
public sealed class BrokerForTests : IAsyncLifetime
{
    private RabbitMqServer _server = null!;

    /// <summary>The broker's address; skips the test where there is none.</summary>
    public string ConnectionString
    {
        get
        {
            Assert.SkipWhen(_server.SkipReason is not null, _server.SkipReason ?? "");
            return _server.ConnectionString;
        }
    }

    public async ValueTask InitializeAsync() => _server = await RabbitMqServer.StartNewAsync(CancellationToken.None);

    /// <summary>Starts the server again, with the data that it had.</summary>
    public async Task StartAsync() => await Controlled().StartAsync(CancellationToken.None);

    /// <summary>Stops the server as a system does, by a signal.</summary>
    public async Task StopAsync() => await Controlled().StopAsync(CancellationToken.None);

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    /// <summary>Waits for a condition with a deadline.</summary>
    public static async Task UntilAsync(Func<Task<bool>> condition, TimeSpan limit)
    {
        using var deadline = new CancellationTokenSource(limit);
        while (!await condition())
        {
            await Task.Delay(20, deadline.Token);
        }
    }

    private RabbitMqServer Controlled()
    {
        Assert.SkipWhen(_server.ControlSkipReason is not null, _server.ControlSkipReason ?? "");
        return _server;
    }
}

/// <summary>The tests that share one broker; one after the other, for some of them stop it.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class BrokerCollection : ICollectionFixture<BrokerForTests>
{
    public const string Name = "broker";
}
