using SplitFrozen.TestServers;

[assembly: AssemblyFixture(typeof(SplitFrozen.Processes.Tests.SharedBroker))]

namespace SplitFrozen.Processes.Tests;

/// <summary>The broker of all tests that leave it alone, started when the first of them asks; each gets a virtual host of it.</summary>
public sealed class SharedBroker : IAsyncDisposable
{
    private Task<RabbitMqServer>? _server;

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await (await _server).DisposeAsync();
        }
    }

    /// <summary>Not thread-safe: one test of a cluster runs at a time.</summary>
    internal Task<RabbitMqServer> ServerAsync() => _server ??= RabbitMqServer.StartNewAsync(CancellationToken.None);
}
