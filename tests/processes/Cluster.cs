using System.Globalization;
using System.Net.Http.Json;
using System.Net.Sockets;
using SplitFrozen.Contracts.Api;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>RabbitMQ, Redis, a coordinator, a trainer and device workers, each a process of its own.</summary>
internal sealed class Cluster : IAsyncDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-cluster-");
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };

    private Cluster(RabbitMqServer broker, RedisServer redis) => (Broker, Redis) = (broker, redis);

    public RabbitMqServer Broker { get; }

    public RedisServer Redis { get; }

    public Service Coordinator { get; private set; } = null!;

    public Service Trainer { get; private set; } = null!;

    public List<Service> Devices { get; } = [];

    /// <summary>Everything that may be killed.</summary>
    public IReadOnlyList<Service> Services => [Coordinator, Trainer, .. Devices];

    public string Address { get; private set; } = "";

    public string Folder => _folder.FullName;

    /// <summary>Starts all; skips the test where no servers are to be had.</summary>
    public static async Task<Cluster> StartAsync(int devices, CancellationToken cancellationToken)
    {
        var broker = await RabbitMqServer.StartNewAsync(cancellationToken);
        var redis = await RedisServer.StartNewAsync(cancellationToken, appendOnly: true);
        Assert.SkipWhen(broker.SkipReason is not null, broker.SkipReason ?? "");
        Assert.SkipWhen(redis.SkipReason is not null, redis.SkipReason ?? "");
        var cluster = new Cluster(broker, redis);
        cluster.Address = $"http://127.0.0.1:{FreePort()}";
        cluster.Coordinator = cluster.Service("coordinator", "SplitFrozen.Coordinator", new()
        {
            ["ASPNETCORE_URLS"] = cluster.Address,
            ["Coordinator__LeaseTime"] = "00:00:02",
            ["Coordinator__LeaseRenewal"] = "00:00:00.4",
            ["Coordinator__OfferInterval"] = "00:00:00.5",
            ["Coordinator__ReofferInterval"] = "00:00:00.5",
            ["Coordinator__DeviceLease"] = "00:00:03",
            ["Coordinator__GatherTime"] = "00:00:01",
        });
        cluster.Trainer = cluster.Service("trainer", "SplitFrozen.Trainer", new()
        {
            ["Trainer__Folder"] = Path.Combine(cluster.Folder, "runs"), ["Trainer__LeaseTime"] = "00:00:02",
        });
        for (var n = 1; n <= devices; n++)
        {
            cluster.Devices.Add(cluster.Service($"device-{n}", "SplitFrozen.DeviceWorker", new()
            {
                ["Device__Name"] = $"device-{n}", ["Device__HeartbeatInterval"] = "00:00:00.5", ["Device__GigaflopsPerSecond"] = "50",
            }));
        }

        foreach (var service in cluster.Services)
        {
            service.Start();
        }

        return cluster;
    }

    /// <summary>Runs a command of the command line against the coordinator.</summary>
    public Task<(int Code, string Output, string Error)> CommandAsync(CancellationToken cancellationToken, params string[] arguments) =>
        Programs.CommandAsync(new Dictionary<string, string> { ["SPLITFROZEN_COORDINATOR"] = Address }, cancellationToken, arguments);

    /// <summary>Hands a spec in as soon as the coordinator answers.</summary>
    public async Task<string> SubmitAsync(string spec, CancellationToken cancellationToken)
    {
        var submitted = (Code: 2, Output: "", Error: "");
        await UntilAsync(
            async () => (submitted = await CommandAsync(cancellationToken, "submit", spec)).Code == 0, () => $"the coordinator takes the run: {submitted.Error}", cancellationToken);
        return submitted.Output.Trim();
    }

    /// <summary>The run as the coordinator tells it; null while it does not answer.</summary>
    public async Task<RunDetail?> RunAsync(string runId, CancellationToken cancellationToken)
    {
        try
        {
            return await _http.GetFromJsonAsync<RunDetail>($"{Address}/api/runs/{runId}", ClusterApi.Json, cancellationToken);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <summary>Waits until the run has ended.</summary>
    public async Task<RunDetail> EndAsync(string runId, CancellationToken cancellationToken)
    {
        RunDetail? detail = null;
        await UntilAsync(
            async () => (detail = await RunAsync(runId, cancellationToken) ?? detail)?.Summary.Status is RunStatus.Finished or RunStatus.Failed or RunStatus.Cancelled,
            () => $"the run ends; it stands at {detail?.Summary}", cancellationToken);
        return detail!;
    }

    /// <summary>Looks again and again until a condition holds.</summary>
    public async Task UntilAsync(Func<Task<bool>> condition, Func<string> what, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(4));
        while (!await condition())
        {
            Assert.False(deadline.IsCancellationRequested, $"{what()}\n{Logs()}");
            await Task.Delay(50, cancellationToken);
        }
    }

    /// <summary>Sequence, epoch and samples of each step in the trainer's own log.</summary>
    public string[] StepLog(string runId) => File.ReadAllLines(Path.Combine(Folder, "runs", runId, "checkpoints", "steps.jsonl"));

    public async ValueTask DisposeAsync()
    {
        foreach (var service in Services.Reverse())
        {
            await service.KillAsync();
        }

        await Redis.DisposeAsync();
        await Broker.DisposeAsync();
        _http.Dispose();
        _folder.Delete(recursive: true);
    }

    /// <summary>The ends of all logs, for a failure's message.</summary>
    public string Logs() => string.Join('\n', Services.Select(service => $"== {service.Name}\n{service.LogEnd()}"));

    private static int FreePort()
    {
        using var probe = new TcpListener(System.Net.IPAddress.Loopback, 0);
        probe.Start();
        return ((System.Net.IPEndPoint)probe.LocalEndpoint).Port;
    }

    private Service Service(string name, string project, Dictionary<string, string> settings)
    {
        settings["Transport__Broker"] = Broker.ConnectionString;
        settings["Transport__Redis"] = Redis.ConnectionString;
        settings["Transport__QueueKind"] = "Classic";
        settings["Logging__LogLevel__Default"] = "Information";
        settings["Logging__LogLevel__Microsoft"] = "Warning";
        settings["OMP_NUM_THREADS"] = 1.ToString(CultureInfo.InvariantCulture);
        return new Service(name, project, Path.Combine(Folder, name + ".log"), settings);
    }
}
