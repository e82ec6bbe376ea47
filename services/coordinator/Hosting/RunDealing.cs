using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Coordinator.Devices;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>
/// Deals the clients of one run to the devices that are alive, and again when a device goes. A client's cut is chosen once, when it is first
/// dealt, and stays: its activations are cached under it. Devices that come after the run is planned get clients only where others go.
/// </summary>
internal sealed class RunDealing(RunServices services, StoredRun run)
{
    private readonly IReadOnlyList<string> _clients = ClientDealer.Clients(run.Spec.Clients.Count);
    private readonly Dictionary<string, RunClient> _dealt = run.Clients.ToDictionary(client => client.ClientId);
    private readonly Dictionary<string, Published> _published = [];
    private readonly ILogger _logger = services.Loggers.CreateLogger<RunDealing>();
    private volatile HashSet<string> _served = [];
    private int _round;
    private volatile bool _planned;

    /// <summary>Every device is told its clients once more: a coordinator service starts and waits for registrations.</summary>
    public void PublishAgain() => Interlocked.Increment(ref _round);

    /// <summary>The run is planned: from here on clients stay where they are.</summary>
    public void Planned() => _planned = true;

    /// <summary>Whether a device that is alive serves a client. Thread-safe.</summary>
    public bool IsServed(string clientId) => _served.Contains(clientId);

    /// <summary>Deals until cancelled.</summary>
    public async Task RunAsync(RunFacts facts, CancellationToken cancellationToken)
    {
        if (services.Options.GatherTime - services.Devices.Listened is var rest && rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, services.Time, cancellationToken).ConfigureAwait(false);
        }

        using var timer = new PeriodicTimer(services.Options.DealInterval, services.Time);
        do
        {
            var live = services.Devices.Live;
            await DealAsync(facts, live, cancellationToken).ConfigureAwait(false);
            await PublishAsync(live, cancellationToken).ConfigureAwait(false);
            var names = live.Select(device => device.Device).ToHashSet();
            _served = [.. _dealt.Values.Where(client => client.Device is not null && names.Contains(client.Device)).Select(client => client.ClientId)];
        }
        while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false));
    }

    private async Task DealAsync(RunFacts facts, IReadOnlyList<KnownDevice> live, CancellationToken cancellationToken)
    {
        var current = _dealt.Values.Where(client => client.Device is not null).ToDictionary(client => client.ClientId, client => client.Device!);
        var deal = ClientDealer.Deal(
            _clients, current, [.. live.Select(device => device.Device)], services.Devices.MayCome, rebalance: !_planned && run.TotalSteps == 0);
        var changed = false;
        for (var i = 0; i < _clients.Count; i++)
        {
            var id = _clients[i];
            var before = _dealt.GetValueOrDefault(id);
            var device = deal.GetValueOrDefault(id);
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

        var byDevice = _clients.Where(_dealt.ContainsKey).Select(id => _dealt[id]).Where(client => client.Device is not null).ToLookup(client => client.Device!);
        foreach (var device in live)
        {
            ClientShare[] shares = [.. byDevice[device.Device].Select(client => new ClientShare(client.ClientId, client.Cut))];
            var next = new Published(Volatile.Read(ref _round), device.Instance, string.Join(',', shares.Select(share => share.ClientId)));
            var last = _published.GetValueOrDefault(device.Device);
            if (next == last || (last is null && shares.Length == 0))
            {
                continue;
            }

            await services.Control.PublishAsync(new ClientsAssigned(run.RunId, device.Device, run.Spec, shares), cancellationToken).ConfigureAwait(false);
            _published[device.Device] = next;
        }
    }

    private sealed record Published(int Round, string Instance, string Clients);
}
