using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using DotNet.Testcontainers.Configurations;
using Testcontainers.Redis;

namespace SplitFrozen.TestServers;

/// <summary>
/// A Redis for tests: the one that <c>SPLITFROZEN_TEST_REDIS</c> names, else one in a container, else one started from this
/// machine's installation. Where there is none, <see cref="SkipReason"/> says so.
/// </summary>
public sealed class RedisServer : IAsyncDisposable
{
    private const string Variable = "SPLITFROZEN_TEST_REDIS";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly string? _appendFsync;
    private readonly TestAuthority? _authority;
    private string? _connectionString;
    private string? _executable;
    private string? _folder;
    private int _port;
    private ServerProcess? _process;
    private RedisContainer? _container;

    private RedisServer(string? appendFsync, TestAuthority? authority) => (_appendFsync, _authority) = (appendFsync, authority);

    /// <summary>Why there is no server; null when there is one.</summary>
    public string? SkipReason { get; private set; }

    /// <summary>Why the server cannot be stopped, started or killed by a test; null when it can.</summary>
    public string? ControlSkipReason => SkipReason ?? (_executable is null ? "The server was not started by this test from the machine's installation." : null);

    /// <summary>The address, in the form of StackExchange.Redis.</summary>
    public string ConnectionString => _connectionString ?? throw new InvalidOperationException(SkipReason);

    /// <summary>The port of a server that this test started from the machine's installation.</summary>
    public int Port => _port;

    /// <summary>Finds or starts a server.</summary>
    /// <param name="cancellationToken">Gives up waiting.</param>
    /// <param name="appendFsync">
    /// When an append-only file is forced to the disk, which keeps the writes over a restart: <c>always</c>, <c>everysec</c> or <c>no</c>; null for
    /// no file: a restart begins empty. For a server started here.
    /// </param>
    /// <param name="authority">Null for plain connections; else a server is started here that takes connections over TLS alone.</param>
    public static async Task<RedisServer> StartNewAsync(CancellationToken cancellationToken, string? appendFsync = null, TestAuthority? authority = null)
    {
        var server = new RedisServer(appendFsync, authority);
        if (authority is null && Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            server._connectionString = named;
        }
        else if (authority is null && TestcontainersSettings.OS.DockerEndpointAuthConfig is not null)
        {
            server._container = new RedisBuilder("redis:7.4").Build();
            await server._container.StartAsync(cancellationToken).ConfigureAwait(false);
            server._connectionString = server._container.GetConnectionString();
        }
        else if (ServerProcess.Find("redis-server") is { } installed)
        {
            server._executable = installed;
            server._folder = Directory.CreateTempSubdirectory("splitfrozen-redis-").FullName;
            server._port = ServerProcess.FreePorts(1)[0];
            server._connectionString = $"127.0.0.1:{server._port}{(authority is null ? "" : ",ssl=true")}";
            await server.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        else
        {
            server.SkipReason = $"No Redis: {Variable} is not set, no container engine answers, and no redis-server is installed.";
        }

        return server;
    }

    /// <summary>Starts it again after a stop or a kill: same port, and with append-only the same data.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _process = ServerProcess.Start(
            _executable ?? throw new InvalidOperationException(ControlSkipReason),
            ["--bind", "127.0.0.1", .. Listeners(), "--dir", _folder!, "--save", "", "--appendonly", _appendFsync is null ? "no" : "yes", "--appendfsync", _appendFsync ?? "no"]);
        await _process.WaitUntilAsync(AnswersAsync, Limit, cancellationToken).ConfigureAwait(false);
    }

    private string[] Listeners() => _authority is null
        ? ["--port", $"{_port}"]
        : [
            "--port", "0", "--tls-port", $"{_port}", "--tls-auth-clients", "no", "--tls-ca-cert-file", _authority.AuthorityFile,
            "--tls-cert-file", _authority.CertificateFile, "--tls-key-file", _authority.KeyFile,
        ];

    /// <summary>Stops it in good order.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_process is not null)
        {
            await ServerProcess.SignalAsync("TERM", _process.Id, cancellationToken).ConfigureAwait(false);
            await _process.WaitForExitAsync(cancellationToken).WaitAsync(Limit, cancellationToken).ConfigureAwait(false);
            Forget();
        }
    }

    /// <summary>Kills it at once.</summary>
    public async Task KillAsync()
    {
        if (_process is not null)
        {
            await _process.KillAsync().ConfigureAwait(false);
            Forget();
        }
    }

    /// <summary>Deletes the keys that begin with a text, while the server runs.</summary>
    public async Task DeleteAsync(string prefix, CancellationToken cancellationToken)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", _port, cancellationToken).ConfigureAwait(false);
        var script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end return 'OK'";
        string[] command = ["EVAL", script, "0", prefix + "*"];
        var request = $"*{command.Length}\r\n" + string.Concat(command.Select(part => $"${part.Length}\r\n{part}\r\n"));
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request), cancellationToken).ConfigureAwait(false);
        using var reader = new StreamReader(client.GetStream());
        if (await reader.ReadLineAsync(cancellationToken).ConfigureAwait(false) is var answer && answer != "$2")
        {
            throw new InvalidOperationException($"The keys '{prefix}*' were not deleted: {answer}");
        }
    }

    /// <summary>Removes the data of a stopped server: its next start begins empty.</summary>
    public void WipeData()
    {
        if (_process is not null || _folder is null)
        {
            throw new InvalidOperationException(ControlSkipReason ?? "Stop the server first.");
        }

        Directory.Delete(_folder, recursive: true);
        Directory.CreateDirectory(_folder);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await KillAsync().ConfigureAwait(false);
        if (_folder is not null)
        {
            Directory.Delete(_folder, recursive: true);
        }

        if (_container is not null)
        {
            await _container.DisposeAsync().ConfigureAwait(false);
        }
    }

    private void Forget()
    {
        _process?.Dispose();
        _process = null;
    }

    private async Task<bool> AnswersAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync("127.0.0.1", _port, cancellationToken).ConfigureAwait(false);
            var stream = _authority is null ? client.GetStream() : await _authority.SecureAsync(client, cancellationToken).ConfigureAwait(false);
            await using var _ = stream.ConfigureAwait(false);
            await stream.WriteAsync(Encoding.ASCII.GetBytes("PING\r\n"), cancellationToken).ConfigureAwait(false);
            var answer = new byte[5];
            await stream.ReadExactlyAsync(answer, cancellationToken).ConfigureAwait(false);

            // While it loads its data it answers with an error.
            return Encoding.ASCII.GetString(answer) == "+PONG";
        }
        catch (Exception exception) when (exception is SocketException or IOException or AuthenticationException)
        {
            return false;
        }
    }
}
