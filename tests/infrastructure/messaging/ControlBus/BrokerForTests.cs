using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace SplitFrozen.Messaging.Tests.ControlBus;

/// <summary>A RabbitMQ of our own: the one that the environment names, or a locally installed server on loopback ports.</summary>
public sealed class BrokerForTests : IAsyncLifetime
{
    private const string Program = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    private const string Variable = "SPLITFROZEN_TEST_RABBITMQ";
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);

    private readonly string? _given = Environment.GetEnvironmentVariable(Variable);
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"sf-broker-{Environment.ProcessId}");
    private readonly Dictionary<string, string> _environment = [];
    private int _port;
    private bool _started;

    /// <summary>The broker's address; skips the test where there is none.</summary>
    public string ConnectionString
    {
        get
        {
            Assert.SkipUnless(_given is not null || File.Exists(Program), $"No RabbitMQ: {Variable} is not set and {Program} is not installed.");
            return _given ?? $"amqp://guest:guest@127.0.0.1:{_port}/";
        }
    }

    public async ValueTask InitializeAsync()
    {
        if (_given is null && File.Exists(Program))
        {
            Prepare();
            await StartAsync();
        }
    }

    /// <summary>Starts the server again, with the data that it had.</summary>
    public async Task StartAsync()
    {
        Assert.SkipUnless(_given is null, "The broker that the environment names is not ours to start and stop.");
        _started = true;
        var start = new ProcessStartInfo("/bin/sh", ["-c", $"exec {Program} >>{_folder}/stdout 2>&1 </dev/null"]);
        Run(start).Dispose();
        await UntilAsync(AnswersAsync, StartLimit);
    }

    /// <summary>Stops the server as a system does, by a signal.</summary>
    public async Task StopAsync()
    {
        Assert.SkipUnless(_given is null, "The broker that the environment names is not ours to start and stop.");
        _started = false;
        var pid = (await File.ReadAllTextAsync(Path.Combine(_folder, "pid"))).Trim();
        using (var kill = Run(new ProcessStartInfo("/bin/sh", ["-c", $"kill -TERM {pid}"])))
        {
            await kill.WaitForExitAsync();
        }

        await UntilAsync(() => Task.FromResult(!Directory.Exists($"/proc/{pid}") || File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal)), StartLimit);
    }

    public async ValueTask DisposeAsync()
    {
        if (_given is not null || _environment.Count == 0)
        {
            return;
        }

        if (_started)
        {
            await StopAsync();
        }

        // The port mapper outlives its node.
        using (var kill = Run(new ProcessStartInfo("/bin/sh", ["-c", "epmd -kill >/dev/null 2>&1"])))
        {
            await kill.WaitForExitAsync();
        }

        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Waits for a condition.</summary>
    public static async Task UntilAsync(Func<Task<bool>> condition, TimeSpan limit)
    {
        for (var waited = Stopwatch.StartNew(); !await condition();)
        {
            Assert.True(waited.Elapsed < limit, $"The condition was not met within {limit}.");
            await Task.Delay(50, CancellationToken.None);
        }
    }

    private void Prepare()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "home"));
        _port = FreePort();
        File.WriteAllText(
            Path.Combine(_folder, "rabbitmq.conf"),
            $"listeners.tcp.1 = 127.0.0.1:{_port}\nvm_memory_high_watermark.absolute = 2GB\ndisk_free_limit.absolute = 100MB\n");
        File.WriteAllText(Path.Combine(_folder, "enabled_plugins"), "[].");
        _environment["HOME"] = Path.Combine(_folder, "home");
        _environment["LANG"] = "C.UTF-8";
        _environment["RABBITMQ_NODENAME"] = $"sfc{Environment.ProcessId}@localhost";
        _environment["RABBITMQ_MNESIA_BASE"] = Path.Combine(_folder, "data");
        _environment["RABBITMQ_LOG_BASE"] = Path.Combine(_folder, "log");
        _environment["RABBITMQ_PID_FILE"] = Path.Combine(_folder, "pid");
        _environment["RABBITMQ_CONFIG_FILE"] = Path.Combine(_folder, "rabbitmq.conf");
        _environment["RABBITMQ_CONF_ENV_FILE"] = Path.Combine(_folder, "none");
        _environment["RABBITMQ_ENABLED_PLUGINS_FILE"] = Path.Combine(_folder, "enabled_plugins");
        _environment["RABBITMQ_DIST_PORT"] = FreePort().ToString(CultureInfo.InvariantCulture);
        _environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2";
        _environment["ERL_EPMD_PORT"] = FreePort().ToString(CultureInfo.InvariantCulture);
        _environment["ERL_EPMD_ADDRESS"] = "127.0.0.1";
    }

    private Process Run(ProcessStartInfo start)
    {
        foreach (var (name, value) in _environment)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            await using var connection = await new ConnectionFactory { Uri = new Uri(ConnectionString) }.CreateConnectionAsync();
            return true;
        }
        catch (BrokerUnreachableException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>The tests that share one broker; one after the other, for some of them stop it.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class BrokerCollection : ICollectionFixture<BrokerForTests>
{
    public const string Name = "broker";
}
