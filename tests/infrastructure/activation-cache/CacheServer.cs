using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace SplitFrozen.ActivationCache.Tests;

/// <summary>A running cache server of one kind, with connections.</summary>
internal sealed class CacheServer : IAsyncDisposable
{
    public const string Embedded = "embedded";
    public const string Redis = "redis-server";

    private readonly TemporaryFolder _folder = new();
    private EmbeddedCacheServer? _server;
    private Process? _process;

    public string ConnectionString { get; private set; } = "";

    public CacheConnection Connection { get; private set; } = null!;

    /// <summary>Starts a server; skips the test where a real Redis is asked for and none is installed.</summary>
    public static async Task<CacheServer> StartAsync(string kind, CancellationToken cancellationToken)
    {
        var server = new CacheServer();
        server.ConnectionString = kind == Embedded
            ? await server.StartEmbeddedAsync(cancellationToken)
            : await server.StartRedisAsync(cancellationToken);
        server.Connection = await CacheConnection.ConnectAsync(server.ConnectionString, cancellationToken);
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        await Connection.DisposeAsync();
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }

        if (_process is not null)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
            _process.Dispose();
        }

        _folder.Dispose();
    }

    private async Task<string> StartEmbeddedAsync(CancellationToken cancellationToken)
    {
        _server = await EmbeddedCacheServer.StartAsync(new EmbeddedCacheOptions { Directory = _folder.Path, MemoryBytes = 64 << 20 }, cancellationToken);
        return _server.ConnectionString;
    }

    private async Task<string> StartRedisAsync(CancellationToken cancellationToken)
    {
        var installed = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(folder => Path.Combine(folder, Redis)).FirstOrDefault(File.Exists);
        if (installed is null)
        {
            _folder.Dispose();
            Assert.Skip("No redis-server is installed; the same tests run against the embedded server.");
        }

        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        var port = ((IPEndPoint)probe.LocalEndpoint).Port;
        probe.Stop();
        var start = new ProcessStartInfo(installed, ["--bind", "127.0.0.1", "--port", $"{port}", "--dir", _folder.Path, "--save", ""]) { UseShellExecute = false, RedirectStandardOutput = true };
        _process = Process.Start(start)!;
        while (await _process.StandardOutput.ReadLineAsync(cancellationToken) is { } line && !line.Contains("Ready to accept connections", StringComparison.Ordinal))
        {
        }

        return $"127.0.0.1:{port}";
    }
}
