using MassTransit;
using Microsoft.Extensions.Logging;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>
/// The buses that carry a control plane's subscriptions. The bus library keeps some 20 KB of each endpoint for as long as its bus lives, and runs come and go
/// with two dozen each: so a bus takes a number of endpoints, the next one takes those after them, and ends with the last of its own. Thread-safe.
/// </summary>
internal sealed class SubscriptionBuses : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly ControlBusOptions _options;
    private readonly ILoggerFactory _loggers;
    private readonly TimeProvider _time;
    private readonly StopLimit _stopLimit;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Rented> _all;
    private Rented _current;
    private Task _renewing = Task.CompletedTask;

    /// <summary>Begins with a bus that is started, and which ends only with the plane: it publishes too.</summary>
    public SubscriptionBuses(IBusControl first, ControlBusOptions options, ILoggerFactory loggers, TimeProvider time, StopLimit stopLimit)
    {
        (_options, _loggers, _time, _stopLimit) = (options, loggers, time, stopLimit);
        _current = new Rented(first) { Endpoints = 1 };
        _all = [_current];
    }

    /// <summary>False while a bus, or an endpoint on one, is not connected.</summary>
    public bool AreHealthy
    {
        get
        {
            lock (_gate)
            {
                return _all.TrueForAll(rented => rented.Bus.CheckHealth().Status == BusHealthStatus.Healthy);
            }
        }
    }

    /// <summary>Number of buses at present.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _all.Count;
            }
        }
    }

    /// <summary>A bus for one endpoint.</summary>
    public Rented Rent()
    {
        lock (_gate)
        {
            var rented = _current;
            rented.Endpoints++;
            if (++rented.Taken >= _options.EndpointsPerBus && _renewing.IsCompleted && !_stop.IsCancellationRequested)
            {
                _renewing = Task.Run(RenewAsync);
            }

            return rented;
        }
    }

    /// <summary>The endpoint has ended.</summary>
    public async Task ReturnAsync(Rented rented)
    {
        lock (_gate)
        {
            if (--rented.Endpoints > 0 || rented == _current || !_all.Remove(rented))
            {
                return;
            }
        }

        await EndAsync(rented.Bus).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task renewing;
        lock (_gate)
        {
            _stop.Cancel();
            renewing = _renewing;
        }

        await renewing.ConfigureAwait(false);
        foreach (var rented in _all)
        {
            await EndAsync(rented.Bus).ConfigureAwait(false);
        }

        _stop.Dispose();
    }

    /// <summary>Starts another bus and lets it take over. Where that does not succeed now, the next endpoint tries again, and the old bus serves on.</summary>
    private async Task RenewAsync()
    {
        LogContext.ConfigureCurrentLogContext(_loggers);
        var bus = BusFactory.Create(_options);
        using var deadline = new Deadline(_options.StartTimeout, _time, _stop.Token);
        try
        {
            await bus.StartAsync(deadline.Token).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            _loggers.CreateLogger<SubscriptionBuses>().LogWarning(exception, "A further connection for subscriptions could not be opened yet");
            await EndAsync(bus).ConfigureAwait(false);
            return;
        }

        Rented? left = null;
        lock (_gate)
        {
            var old = _current;
            _all.Add(_current = new Rented(bus));
            if (old.Endpoints == 0)
            {
                _all.Remove(left = old);
            }
        }

        if (left is not null)
        {
            await EndAsync(left.Bus).ConfigureAwait(false);
        }
    }

    private Task EndAsync(IBusControl bus) => _stopLimit.WithinAsync("Disconnecting from the broker", token => bus.StopAsync(token));

    /// <summary>A bus, the endpoints on it, and how many it has taken in all.</summary>
    internal sealed class Rented(IBusControl bus)
    {
        public IBusControl Bus { get; } = bus;

        public int Endpoints { get; set; }

        public int Taken { get; set; }
    }
}
