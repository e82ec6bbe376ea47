using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Coordinator.Devices;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>
/// Deals the clients of one run to the devices that are alive, and again when a device comes or goes. A client's cut is chosen once, when it is first
/// dealt, and stays: its activations are cached under it. Where devices with data of their own are the clients, they are chosen once, and each is served by itself or not at all; only the held-out
/// rows are dealt, to devices that hold no data of their own.
/// </summary>
internal sealed class RunDealing(RunServices services, StoredRun run)
{
    private readonly TaskCompletionSource<IReadOnlyList<string>> _chosen = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly bool _devicesAreClients = RunClients.AreDevices(run.Spec);
    private readonly Dictionary<string, RunClient> _dealt = run.Clients.ToDictionary(client => client.ClientId);
    private readonly Dictionary<string, Published> _published = [];
    private readonly HashSet<string> _unused = [];
    private readonly ILogger _logger = services.Loggers.CreateLogger<RunDealing>();
    private volatile HashSet<string> _served = [];
    private IReadOnlyList<string> _clients = RunClients.Names(run) ?? [];
    private int _round;
    private bool _heldOutMissing;
    private volatile string _waiting = "";

    /// <summary>The run's clients, once they are known and recorded.</summary>
    public Task<IReadOnlyList<string>> Clients => _chosen.Task;

    /// <summary>What the run waits for while its clients are not known.</summary>
    public string Waiting => _waiting;

    /// <summary>Every device is told its clients once more: a coordinator service starts and waits for registrations.</summary>
    public void PublishAgain() => Interlocked.Increment(ref _round);

    /// <summary>Whether a device that is alive serves a client. Thread-safe.</summary>
    public bool IsServed(string clientId) => _served.Contains(clientId);

    /// <summary>Deals until cancelled.</summary>
    public async Task RunAsync(RunFacts facts, CancellationToken cancellationToken)
    {
        if (_clients.Count > 0)
        {
            _chosen.TrySetResult(_clients);
        }

        if (services.Options.GatherTime - services.Devices.Listened is var rest && rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, services.Time, cancellationToken).ConfigureAwait(false);
        }

        using var timer = new PeriodicTimer(services.Options.DealInterval, services.Time);
        do
        {
            var live = services.Devices.Live;
            if (_clients.Count > 0 || TryChoose(live))
            {
                await DealAsync(facts, live, cancellationToken).ConfigureAwait(false);
                _chosen.TrySetResult(_clients);
                await PublishAsync(live, cancellationToken).ConfigureAwait(false);
                _served = [.. live.SelectMany(Shares).Select(share => share.ClientId)];
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false));
    }

    private bool TryChoose(IReadOnlyList<KnownDevice> live)
    {
        if (RunClients.Choose(run.Spec, live) is { } chosen)
        {
            _clients = chosen;
            _logger.LogInformation("Run {Run}: its clients are {Clients}", run.RunId, string.Join(", ", chosen));
            return true;
        }

        string[] there = [.. live.Where(RunClients.IsClient).Select(device => device.Device)];
        var waiting = $"{run.Spec.Clients.Count} device workers with data of their own (clients.count), and "
            + (there.Length == 0 ? "none is there" : $"{there.Length} are there: {string.Join(", ", there)}");
        if (waiting != _waiting)
        {
            _logger.LogInformation("Run {Run} waits for {Waiting}", run.RunId, waiting);
            _waiting = waiting;
        }

        return false;
    }

    private bool IsOwn(string clientId) => _devicesAreClients && clientId != ClientNames.Evaluation;

    private async Task DealAsync(RunFacts facts, IReadOnlyList<KnownDevice> live, CancellationToken cancellationToken)
    {
        string[] shared = [.. _clients.Where(client => !IsOwn(client))];
        var current = shared.Where(client => _dealt.GetValueOrDefault(client)?.Device is not null).ToDictionary(client => client, client => _dealt[client].Device!);
        var deal = ClientDealer.Deal(
            shared, current, [.. live.Where(device => !device.HasOwnData).Select(device => device.Device)], services.Devices.MayCome);
        if (_devicesAreClients && deal.Count == 0 && !_heldOutMissing)
        {
            _heldOutMissing = true;
            _logger.LogWarning("Run {Run}: nobody is there for the held-out rows; start a device worker without data of its own", run.RunId);
        }

        var changed = false;
        for (var i = 0; i < _clients.Count; i++)
        {
            var id = _clients[i];
            var before = _dealt.GetValueOrDefault(id);
            var device = IsOwn(id) ? id : deal.GetValueOrDefault(id);
            if (device == before?.Device)
            {
                continue;
            }

            changed = true;
            if (before is null)
            {
                var choice = CutChooser.Choose(
                    run.Spec, facts, id == ClientNames.Evaluation ? null : i, live.Single(known => known.Device == device).Profile);
                before = new RunClient(id, device, choice.Cut, choice.Reason);
            }
            else if (before.Device is not null)
            {
                _logger.LogInformation("Run {Run}: client {Client} goes from device {Device} to {Other}", run.RunId, id, before.Device, device ?? "none");
            }

            _dealt[id] = before with { Device = device };
        }

        if (changed)
        {
            await services.Store.SetClientsAsync(run.RunId, [.. _clients.Where(_dealt.ContainsKey).Select(id => _dealt[id])], cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task PublishAsync(IReadOnlyList<KnownDevice> live, CancellationToken cancellationToken)
    {
        // A device that was away may still serve what it had: when it comes back, it is told again.
        foreach (var away in _published.Keys.Except(live.Select(device => device.Device)).ToArray())
        {
            _published[away] = _published[away] with { Round = -1 };
        }

        foreach (var device in live)
        {
            ClientShare[] shares = [.. Shares(device)];
            var next = new Published(Volatile.Read(ref _round), device.Instance, string.Join(',', shares.Select(share => share.ClientId)));
            var last = _published.GetValueOrDefault(device.Device);
            if (_devicesAreClients && device.HasOwnData && shares.Length == 0 && _unused.Add(device.Device))
            {
                _logger.LogInformation("Run {Run} has its {Count} clients: device {Device} is not used", run.RunId, _clients.Count - 1, device.Device);
            }

            if (next == last || (last is null && shares.Length == 0))
            {
                continue;
            }

            await services.Control.PublishAsync(new ClientsAssigned(run.RunId, device.Device, run.Spec, shares), cancellationToken).ConfigureAwait(false);
            _published[device.Device] = next;
        }
    }

    /// <summary>What a device serves: its own data alone where it has some, else what it was dealt.</summary>
    private IEnumerable<ClientShare> Shares(KnownDevice device) => _clients
        .Select(_dealt.GetValueOrDefault)
        .OfType<RunClient>()
        .Where(client => client.Device == device.Device && IsOwn(client.ClientId) == device.HasOwnData)
        .Select(client => new ClientShare(client.ClientId, client.Cut));

    private sealed record Published(int Round, string Instance, string Clients);
}
