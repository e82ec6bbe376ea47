using DotNet.Testcontainers.Configurations;
using Testcontainers.RabbitMq;

namespace SplitFrozen.TestServers;

/// <summary>
/// A RabbitMQ for tests: the one that <c>SPLITFROZEN_TEST_RABBITMQ</c> names, else one in a container, else one started from
/// this machine's installation. Where there is none, <see cref="SkipReason"/> says so.
/// </summary>
public sealed class RabbitMqServer : IAsyncDisposable
{
    private const string Variable = "SPLITFROZEN_TEST_RABBITMQ";

    private LocalRabbitMq? _local;
    private RabbitMqContainer? _container;
    private string? _connectionString;
    private bool _isShared;
    private int _virtualHosts;

    private RabbitMqServer()
    {
    }

    /// <summary>Why there is no server; null when there is one.</summary>
    public string? SkipReason { get; private set; }

    /// <summary>Why the server cannot be stopped, started or killed by a test; null when it can.</summary>
    public string? ControlSkipReason => SkipReason ?? (_local is null && !_isShared ? "The server was not started by this test from the machine's installation." : null);

    /// <summary>Why no users can be added; null when they can.</summary>
    public string? UsersSkipReason => SkipReason ?? (_local is null && _container is null ? $"{Variable} names a server that tests do not administer." : null);

    /// <summary>The address, with a user who may do everything.</summary>
    public string ConnectionString => _connectionString ?? throw new InvalidOperationException(SkipReason);

    /// <summary>The port.</summary>
    public int Port => new Uri(ConnectionString).Port;

    /// <summary>Address of the management interface of a secured server.</summary>
    public string Management => $"http://127.0.0.1:{Local.ManagementPort}";

    /// <summary>User and password of the secured server's administrator.</summary>
    public string Administrator => "guest:guest";

    /// <summary>What a server that this test started has logged.</summary>
    public string Log => Local.Log;

    /// <summary>
    /// Starts a server that takes connections over TLS alone, and whose management can be reached; from this machine's installation, since its
    /// configuration is the test's own.
    /// </summary>
    public static async Task<RabbitMqServer> StartSecuredAsync(TestAuthority authority, CancellationToken cancellationToken)
    {
        var server = new RabbitMqServer();
        if (LocalRabbitMq.Installed() is not { } scripts)
        {
            server.SkipReason = "No rabbitmq-server is installed, and the test needs one that it can configure.";
            return server;
        }

        server._local = new LocalRabbitMq(scripts, authority);
        server._connectionString = $"amqps://{server.Administrator}@127.0.0.1:{server._local.Port}/";
        await server._local.StartAsync(cancellationToken).ConfigureAwait(false);
        return server;
    }

    /// <summary>Finds or starts a server.</summary>
    public static async Task<RabbitMqServer> StartNewAsync(CancellationToken cancellationToken)
    {
        var server = new RabbitMqServer();
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            server._connectionString = named;
        }
        else if (TestcontainersSettings.OS.DockerEndpointAuthConfig is not null)
        {
            server._container = new RabbitMqBuilder("rabbitmq:4.1").Build();
            await server._container.StartAsync(cancellationToken).ConfigureAwait(false);
            server._connectionString = server._container.GetConnectionString();
        }
        else if (LocalRabbitMq.Installed() is { } scripts)
        {
            server._local = new LocalRabbitMq(scripts);
            server._connectionString = $"amqp://guest:guest@127.0.0.1:{server._local.Port}/";
            await server._local.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        else
        {
            server.SkipReason = $"No RabbitMQ: {Variable} is not set, no container engine answers, and no rabbitmq-server is installed.";
        }

        return server;
    }

    /// <summary>
    /// An empty virtual host of this server, as a server of a test's own: it takes a second where a start takes ten. It cannot be stopped, and
    /// disposing it leaves this server alone. A server that tests do not administer is shared as it is.
    /// </summary>
    public async Task<RabbitMqServer> ShareAsync(CancellationToken cancellationToken)
    {
        var shared = new RabbitMqServer { SkipReason = SkipReason, _connectionString = _connectionString };
        if (UsersSkipReason is null)
        {
            var name = $"test-{Interlocked.Increment(ref _virtualHosts)}";
            var address = new UriBuilder(ConnectionString) { Path = name };
            await ControlAsync(["add_vhost", name], cancellationToken).ConfigureAwait(false);
            await ControlAsync(["set_permissions", "-p", name, address.UserName, ".*", ".*", ".*"], cancellationToken).ConfigureAwait(false);
            (shared._connectionString, shared._isShared) = (address.Uri.ToString(), true);
        }

        return shared;
    }

    /// <summary>Starts it again after a stop or a kill: same port, same data.</summary>
    public Task StartAsync(CancellationToken cancellationToken) => Local.StartAsync(cancellationToken);

    /// <summary>Stops it in good order.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => Local.StopAsync(cancellationToken);

    /// <summary>Kills it at once.</summary>
    public Task KillAsync() => Local.KillAsync();

    /// <summary>Adds a user with permissions, each a regular expression over names of queues and exchanges.</summary>
    /// <param name="name">Name of the user.</param>
    /// <param name="password">Password.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    /// <param name="configure">What the user may declare and delete.</param>
    /// <param name="write">What the user may publish to.</param>
    /// <param name="read">What the user may consume.</param>
    public async Task AddUserAsync(
        string name, string password, CancellationToken cancellationToken, string configure = ".*", string write = ".*", string read = ".*")
    {
        await ControlAsync(["add_user", name, password], cancellationToken).ConfigureAwait(false);
        await ControlAsync(["set_permissions", name, configure, write, read], cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The address for another user, or another port of this machine.</summary>
    public string ConnectionStringFor(string? user = null, string? password = null, int? port = null)
    {
        var address = new UriBuilder(ConnectionString);
        (address.UserName, address.Password) = (user ?? address.UserName, password ?? address.Password);
        (address.Host, address.Port) = (port is null ? address.Host : "127.0.0.1", port ?? address.Port);
        return address.Uri.ToString();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_local is not null)
        {
            await _local.EndAsync().ConfigureAwait(false);
            _local.Dispose();
        }

        if (_container is not null)
        {
            await _container.DisposeAsync().ConfigureAwait(false);
        }
    }

    private LocalRabbitMq Local => _local ?? throw new InvalidOperationException(
        _isShared ? "Other tests use this server too: give the test a broker of its own." : ControlSkipReason);

    private async Task ControlAsync(string[] arguments, CancellationToken cancellationToken)
    {
        if (_container is null)
        {
            await Local.ControlAsync(arguments, cancellationToken).ConfigureAwait(false);
            return;
        }

        var result = await _container.ExecAsync(["rabbitmqctl", .. arguments], cancellationToken).ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            throw new InvalidOperationException($"rabbitmqctl ended with {result.ExitCode}: {result.Stderr}");
        }
    }
}
