using System.Net.Sockets;
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
    private ServerProcess? _process;

    public LocalRabbitMq(string scripts)
    {
        _scripts = scripts;
        var ports = ServerProcess.FreePorts(3);
        Port = ports[0];
        foreach (var name in new[] { "home", "data", "log" })
        {
            Directory.CreateDirectory(In(name));
        }

        File.WriteAllText(
            In("rabbitmq.conf"),
            $"""
            listeners.tcp.1 = 127.0.0.1:{Port}
            disk_free_limit.absolute = 64MB
            vm_memory_high_watermark.absolute = 2GB

            """);
        File.WriteAllText(In("enabled_plugins"), "[].\n");
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
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes("AMQP\0\0\u0009\u0001"), cancellationToken).ConfigureAwait(false);
            var frame = new byte[1];
            return await client.GetStream().ReadAsync(frame, cancellationToken).ConfigureAwait(false) == 1 && frame[0] == 1;
        }
        catch (Exception exception) when (exception is SocketException or IOException)
        {
            return false;
        }
    }

    private string In(string name) => Path.Combine(_folder, name);
}
