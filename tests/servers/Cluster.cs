using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.TestServers;

/// <summary>RabbitMQ, Redis, a coordinator, and where wanted a trainer and device workers, each a process of its own.</summary>
public sealed class Cluster : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-cluster-");
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };
    private readonly ClusterOptions _options;

    private Cluster(RabbitMqServer broker, RedisServer redis, ClusterOptions options)
    {
        (Broker, Redis, _options) = (broker, redis, options);
        _http.DefaultRequestHeaders.Authorization = options.Token is { } token ? new AuthenticationHeaderValue("Bearer", token) : null;
        Address = $"http://127.0.0.1:{ServerProcess.FreePorts(1)[0].ToString(CultureInfo.InvariantCulture)}";
    }

    /// <summary>Why there is no cluster: no servers are to be had. Null when there is one.</summary>
    public string? SkipReason => Broker.SkipReason ?? Redis.SkipReason;

    /// <summary>The broker.</summary>
    public RabbitMqServer Broker { get; }

    /// <summary>The cache; it keeps an append-only file.</summary>
    public RedisServer Redis { get; }

    /// <summary>Who signed the certificates of broker and cache; null unless they are secured.</summary>
    public TestAuthority? Authority { get; private init; }

    /// <summary>Between the services and the broker; null unless asked for.</summary>
    public TcpProxy? BrokerProxy { get; private set; }

    /// <summary>Between the services and the cache; null unless asked for.</summary>
    public TcpProxy? RedisProxy { get; private set; }

    /// <summary>The coordinator.</summary>
    public Service Coordinator => Services[0];

    /// <summary>The device workers.</summary>
    public IReadOnlyList<Service> Devices => [.. Services.Where(service => service.Name.StartsWith("device-", StringComparison.Ordinal))];

    /// <summary>The trainers, the leader first.</summary>
    public IReadOnlyList<Service> Trainers => [.. Services.Where(service => service.Name.StartsWith("trainer", StringComparison.Ordinal))];

    /// <summary>Everything that may be killed.</summary>
    public IReadOnlyList<Service> Services { get; private set; } = [];

    /// <summary>Where the coordinator's interface listens.</summary>
    public string Address { get; }

    /// <summary>Logs and run folders; deleted at the end.</summary>
    public string Folder => _folder.FullName;

    /// <summary>Starts all. Where no servers are to be had, nothing runs and <see cref="SkipReason"/> says why.</summary>
    public static async Task<Cluster> StartAsync(ClusterOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        var authority = options.Secured ? new TestAuthority() : null;
        var starting = authority is not null ? RabbitMqServer.StartSecuredAsync(authority, cancellationToken)
            : options.SharedBroker?.ShareAsync(cancellationToken) ?? RabbitMqServer.StartNewAsync(cancellationToken);
        var redis = await RedisServer.StartNewAsync(cancellationToken, options.AppendFsync, authority).ConfigureAwait(false);
        var broker = await starting.ConfigureAwait(false);
        var cluster = new Cluster(broker, redis, options) { Authority = authority };
        if (cluster.SkipReason is null)
        {
            if (options.Proxied)
            {
                cluster.BrokerProxy = new TcpProxy(broker.Port);
                cluster.RedisProxy = new TcpProxy(redis.Port);
            }

            for (var n = 1; options.Secured && n <= options.OwnData.Count; n++)
            {
                await cluster.EnrollAsync($"device-{n}", cancellationToken).ConfigureAwait(false);
            }

            cluster.Services = [.. cluster.Make()];
            foreach (var service in cluster.Services)
            {
                service.Start();
            }
        }

        return cluster;
    }

    /// <summary>Starts more device workers, with the next numbers.</summary>
    public void AddDevices(int count)
    {
        Service[] added = [.. Enumerable.Range(Devices.Count + 1, count).Select(MakeDevice)];
        Services = [.. Services, .. added];
        Array.ForEach(added, service => service.Start());
    }

    /// <summary>Runs a command of the command line against the coordinator.</summary>
    public Task<(int Code, string Output, string Error)> CommandAsync(CancellationToken cancellationToken, params string[] arguments) => Programs.CommandAsync(
        new Dictionary<string, string> { ["SPLITFROZEN_COORDINATOR"] = Address, ["SPLITFROZEN_TOKEN"] = _options.Token ?? "" }, cancellationToken, arguments);

    /// <summary>Where the kit of an enrolled device lies.</summary>
    public string Kit(string device) => Path.Combine(Folder, device + ".kit.json");

    /// <summary>Enrols a device as its owner does, by the command line.</summary>
    public async Task EnrollAsync(string device, CancellationToken cancellationToken)
    {
        var address = new Uri(Broker.ConnectionString);
        var (code, _, error) = await DeviceCommandAsync(
            cancellationToken, "enroll", device, "--broker", $"amqps://{address.Authority}/", "--out", Kit(device)).ConfigureAwait(false);
        if (code != 0)
        {
            throw new InvalidOperationException(error);
        }
    }

    /// <summary>Runs <c>splitfrozen device</c> against the secured broker.</summary>
    public Task<(int Code, string Output, string Error)> DeviceCommandAsync(CancellationToken cancellationToken, params string[] arguments) => Programs.CommandAsync(
        new Dictionary<string, string> { ["SPLITFROZEN_BROKER_ADMIN"] = Broker.Administrator }, cancellationToken,
        ["device", .. arguments, "--management", Broker.Management, "--ca", Authority!.AuthorityFile]);

    /// <summary>Hands a spec in as soon as the coordinator answers.</summary>
    /// <param name="spec">The file.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="arguments">More arguments of the command.</param>
    public async Task<string> SubmitAsync(string spec, CancellationToken cancellationToken, params string[] arguments)
    {
        // Each attempt of the command takes a second of a core: it begins when somebody is there to answer.
        await UntilAsync(() => IsUpAsync(cancellationToken), () => "the coordinator answers", cancellationToken).ConfigureAwait(false);
        var submitted = (Code: 2, Output: "", Error: "");
        await UntilAsync(
            async () => (submitted = await CommandAsync(cancellationToken, ["submit", spec, .. arguments]).ConfigureAwait(false)).Code == 0,
            () => $"the coordinator takes the run: {submitted.Error}", cancellationToken).ConfigureAwait(false);
        return submitted.Output.Trim();
    }

    /// <summary>Hands a spec in as soon as the coordinator answers.</summary>
    /// <exception cref="InvalidOperationException">The spec is refused.</exception>
    public async Task<string> SubmitAsync(RunSpec spec, CancellationToken cancellationToken)
    {
        RunAccepted? accepted = null;
        await UntilAsync(
            async () => (accepted = await TrySubmitAsync(spec, cancellationToken).ConfigureAwait(false)) is not null,
            () => "the coordinator takes the run", cancellationToken).ConfigureAwait(false);
        return accepted!.RunId;
    }

    /// <summary>The run as the coordinator tells it; null while it does not answer.</summary>
    public async Task<RunDetail?> RunAsync(string runId, CancellationToken cancellationToken)
    {
        try
        {
            return await _http.GetFromJsonAsync<RunDetail>($"{Address}/api/runs/{runId}", ClusterApi.Json, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <summary>A file that a run left behind.</summary>
    public Task<byte[]> ArtifactAsync(string runId, string name, CancellationToken cancellationToken) =>
        _http.GetByteArrayAsync($"{Address}/api/runs/{runId}/artifacts/{name}", cancellationToken);

    /// <summary>Waits until the run has ended.</summary>
    public async Task<RunDetail> EndAsync(string runId, CancellationToken cancellationToken)
    {
        RunDetail? detail = null;
        await UntilAsync(
            async () => (detail = await RunAsync(runId, cancellationToken).ConfigureAwait(false) ?? detail)?.Summary.Status
                is RunStatus.Finished or RunStatus.Failed or RunStatus.Cancelled,
            () => $"the run ends; it stands at {detail?.Summary}", cancellationToken).ConfigureAwait(false);
        return detail!;
    }

    /// <summary>Looks again and again until a condition holds.</summary>
    /// <exception cref="TimeoutException">It did not hold in time; the message has the ends of all logs.</exception>
    public async Task UntilAsync(Func<Task<bool>> condition, Func<string> what, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(condition);
        ArgumentNullException.ThrowIfNull(what);
        using var deadline = new CancellationTokenSource(Patience);
        while (!await condition().ConfigureAwait(false))
        {
            if (deadline.IsCancellationRequested)
            {
                throw new TimeoutException($"Waited in vain for {Patience}: {what()}\n{Logs()}");
            }

            await Task.Delay(50, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Sequence, epoch and samples of each step in the trainer's own log.</summary>
    public string[] StepLog(string runId) => File.ReadAllLines(Path.Combine(Folder, "runs", runId, "checkpoints", "steps.jsonl"));

    /// <summary>The ends of all logs, for a failure's message.</summary>
    public string Logs() => string.Join('\n', Services.Select(service => $"== {service.Name}\n{service.LogEnd()}"));

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var service in Services.Reverse())
        {
            await service.KillAsync().ConfigureAwait(false);
        }

        foreach (var proxy in new[] { BrokerProxy, RedisProxy }.OfType<TcpProxy>())
        {
            await proxy.DisposeAsync().ConfigureAwait(false);
        }

        await Redis.DisposeAsync().ConfigureAwait(false);
        await Broker.DisposeAsync().ConfigureAwait(false);
        Authority?.Dispose();
        _http.Dispose();
        _folder.Delete(recursive: true);
    }

    private async Task<bool> IsUpAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var response = await _http.GetAsync($"{Address}/health/ready", cancellationToken).ConfigureAwait(false);
            return response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private async Task<RunAccepted?> TrySubmitAsync(RunSpec spec, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await _http.PostAsJsonAsync($"{Address}/api/runs", spec, ClusterApi.Json, cancellationToken).ConfigureAwait(false);
            return response.IsSuccessStatusCode
                ? await response.Content.ReadFromJsonAsync<RunAccepted>(ClusterApi.Json, cancellationToken).ConfigureAwait(false)
                : throw new InvalidOperationException($"The run is refused: {await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false)}");
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private IEnumerable<Service> Make()
    {
        yield return Make("coordinator", "SplitFrozen.Coordinator", new()
        {
            ["ASPNETCORE_URLS"] = Address,
            ["Coordinator__LeaseTime"] = "00:00:02",
            ["Coordinator__LeaseRenewal"] = "00:00:00.5",
            ["Coordinator__OfferInterval"] = "00:00:00.5",
            ["Coordinator__ReofferInterval"] = "00:00:00.5",
            ["Coordinator__DeviceLease"] = "00:00:03",
            ["Coordinator__GatherTime"] = "00:00:01",
        });
        for (var n = 0; _options.Trainer && n < _options.Stages * _options.Replicas; n++)
        {
            var name = n == 0 ? "trainer" : $"trainer-{n + 1}";
            yield return Make(name, "SplitFrozen.Trainer", new()
            {
                ["Trainer__Folder"] = Path.Combine(Folder, "runs"),
                ["Trainer__LeaseTime"] = "00:00:02",
                ["Trainer__Name"] = name,
                ["Trainer__Stage"] = $"{(n % _options.Stages) + 1}/{_options.Stages}",
                ["Trainer__Replica"] = $"{(n / _options.Stages) + 1}/{_options.Replicas}",
            });
        }

        for (var n = 1; n <= _options.Devices; n++)
        {
            yield return MakeDevice(n);
        }
    }

    private Service MakeDevice(int n)
    {
        var settings = new Dictionary<string, string>
        {
            ["Device__Name"] = $"device-{n}", ["Device__HeartbeatInterval"] = "00:00:00.5", ["Device__GigaflopsPerSecond"] = "50",
        };
        if (n <= _options.OwnData.Count)
        {
            settings["Device__Data"] = _options.OwnData[n - 1];
            if (_options.Secured)
            {
                settings.Remove("Device__Name");
                settings["Transport__Kit"] = Kit($"device-{n}");
            }
        }

        return Make($"device-{n}", "SplitFrozen.DeviceWorker", settings);
    }

    private Service Make(string name, string project, Dictionary<string, string> settings)
    {
        if (!settings.ContainsKey("Transport__Kit"))
        {
            settings["Transport__Broker"] = Broker.ConnectionStringFor(port: BrokerProxy?.Port);
            settings["Transport__Redis"] = RedisProxy is null ? Redis.ConnectionString : $"127.0.0.1:{RedisProxy.Port.ToString(CultureInfo.InvariantCulture)}";
            settings["Transport__QueueKind"] = "Classic";
            if (Authority is not null)
            {
                settings["Transport__CertificateAuthority"] = Authority.AuthorityFile;
                settings["Transport__RequireTls"] = "true";
            }
        }

        settings["Logging__LogLevel__Default"] = _options.LogLevel;
        settings["Logging__LogLevel__Microsoft"] = "Warning";
        settings["Logging__Console__FormatterOptions__TimestampFormat"] = "HH:mm:ss.f ";
        settings["Logging__Console__FormatterOptions__SingleLine"] = "true";
        settings["OMP_NUM_THREADS"] = 1.ToString(CultureInfo.InvariantCulture);
        foreach (var (variable, value) in _options.Settings)
        {
            settings[variable] = value;
        }

        var program = _options.ProgramFolders.TryGetValue(project, out var folder) ? Path.Combine(folder, project + ".dll") : Programs.Built(project, project);
        return new Service(name, program, Path.Combine(Folder, name + ".log"), settings);
    }
}
