using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;

namespace SplitFrozen.TestServers;

/// <summary>
/// A broker of this machine's installation, as root or not: own node name, ports, data, log and Erlang cookie, on loopback
/// only, so that it meets no other broker. Debian's command in the search path would change to another user; the script
/// below it does not.
/// </summary>
internal sealed class LocalRabbitMq : IDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(30);

    private readonly string _folder = Directory.CreateTempSubdirectory("splitfrozen-rabbitmq-").FullName;
    private readonly string _scripts;
    private readonly Dictionary<string, string> _environment;
    private readonly TestAuthority? _authority;
    private ServerProcess? _process;

    /// <summary>Prepares one.</summary>
    /// <param name="scripts">The folder of the installed scripts.</param>
    /// <param name="authority">Null for plain connections; else it takes connections over TLS alone, and its management is there, at loopback.</param>
    public LocalRabbitMq(string scripts, TestAuthority? authority = null)
    {
        _scripts = scripts;
        _authority = authority;
        var ports = ServerProcess.FreePorts(4);
        (Port, ManagementPort) = (ports[0], ports[3]);
        foreach (var name in new[] { "home", "data", "log" })
        {
            Directory.CreateDirectory(In(name));
        }

        File.WriteAllText(
            In("rabbitmq.conf"),
            $"""
            {(authority is null ? $"listeners.tcp.1 = 127.0.0.1:{Port}" : Secure(authority))}
            disk_free_limit.absolute = 64MB
            vm_memory_high_watermark.absolute = 2GB

            """);
        File.WriteAllText(In("enabled_plugins"), authority is null ? "[].\n" : "[rabbitmq_management].\n");
        _environment = new Dictionary<string, string>
        {
            ["HOME"] = In("home"),
            ["LANG"] = "C.UTF-8",
            ["ERL_EPMD_ADDRESS"] = "127.0.0.1",
            ["ERL_EPMD_PORT"] = $"{ports[1]}",
            ["RABBITMQ_NODENAME"] = $"sf{Environment.ProcessId}x{Port}@localhost",
            ["RABBITMQ_DIST_PORT"] = $"{ports[2]}",
            ["RABBITMQ_MNESIA_BASE"] = In("data"),
            ["RABBITMQ_LOG_BASE"] = In("log"),
            ["RABBITMQ_LOGS"] = In("log/rabbit.log"),
            ["RABBITMQ_PID_FILE"] = In("rabbit.pid"),
            ["RABBITMQ_CONFIG_FILE"] = In("rabbitmq.conf"),
            ["RABBITMQ_CONF_ENV_FILE"] = In("none"),
            ["RABBITMQ_ENABLED_PLUGINS_FILE"] = In("enabled_plugins"),
            ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        };
    }

    public int Port { get; }

    /// <summary>Port of the management interface, where there is one.</summary>
    public int ManagementPort { get; }

    /// <summary>What it has logged.</summary>
    public string Log => File.ReadAllText(In("log/rabbit.log"));

    /// <summary>The folder of the installed scripts, or null where none is installed.</summary>
    public static string? Installed()
    {
        const string Debian = "/usr/lib/rabbitmq/bin";
        return File.Exists($"{Debian}/rabbitmq-server") ? Debian : Path.GetDirectoryName(ServerProcess.Find("rabbitmq-server"));
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        File.Delete(In("rabbit.pid"));
        _process = ServerProcess.Start(Path.Combine(_scripts, "rabbitmq-server"), [], _environment);
        await _process.WaitUntilAsync(SpeaksAmqpAsync, StartLimit, cancellationToken).ConfigureAwait(false);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_process is null)
        {
            return;
        }

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(StopLimit);
        var broker = int.Parse(await File.ReadAllTextAsync(In("rabbit.pid"), deadline.Token).ConfigureAwait(false));
        await ServerProcess.SignalAsync("TERM", broker, deadline.Token).ConfigureAwait(false);
        await _process.WaitForExitAsync(deadline.Token).ConfigureAwait(false);
        Forget();
    }

    public async Task KillAsync()
    {
        if (_process is not null)
        {
            await _process.KillAsync().ConfigureAwait(false);
            Forget();
        }
    }

    public Task<string> ControlAsync(string[] arguments, CancellationToken cancellationToken) =>
        ServerProcess.RunAsync(Path.Combine(_scripts, "rabbitmqctl"), arguments, _environment, cancellationToken);

    public async Task EndAsync()
    {
        await KillAsync().ConfigureAwait(false);
        if (ServerProcess.Find("epmd") is { } epmd)
        {
            try
            {
                await ServerProcess.RunAsync(epmd, ["-kill"], _environment, CancellationToken.None).ConfigureAwait(false);
            }
            catch (InvalidOperationException)
            {
                // It never started.
            }
        }

        Directory.Delete(_folder, recursive: true);
    }

    public void Dispose() => Forget();

    private void Forget()
    {
        _process?.Dispose();
        _process = null;
    }

    /// <summary>The listener opens before the broker is ready to serve; it greets only when it is.</summary>
    private async Task<bool> SpeaksAmqpAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync("127.0.0.1", Port, cancellationToken).ConfigureAwait(false);
            var stream = await StreamAsync(client, cancellationToken).ConfigureAwait(false);
            await using var _ = stream.ConfigureAwait(false);
            await stream.WriteAsync(Encoding.ASCII.GetBytes("AMQP\0\0\u0009\u0001"), cancellationToken).ConfigureAwait(false);
            var frame = new byte[1];
            return await stream.ReadAsync(frame, cancellationToken).ConfigureAwait(false) == 1 && frame[0] == 1;
        }
        catch (Exception exception) when (exception is SocketException or IOException or AuthenticationException)
        {
            return false;
        }
    }

    private Task<Stream> StreamAsync(TcpClient client, CancellationToken cancellationToken) =>
        _authority?.SecureAsync(client, cancellationToken) ?? Task.FromResult<Stream>(client.GetStream());

    private string Secure(TestAuthority authority) => $"""
        listeners.tcp = none
        listeners.ssl.1 = 127.0.0.1:{Port}
        ssl_options.cacertfile = {authority.AuthorityFile}
        ssl_options.certfile = {authority.CertificateFile}
        ssl_options.keyfile = {authority.KeyFile}
        ssl_options.verify = verify_none
        management.tcp.ip = 127.0.0.1
        management.tcp.port = {ManagementPort}
        """;

    private string In(string name) => Path.Combine(_folder, name);
}
