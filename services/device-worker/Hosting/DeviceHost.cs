using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.Torch;

namespace SplitFrozen.DeviceWorker.Hosting;

/// <summary>
/// A device worker process: says that it is there, and serves the clients that it is dealt, each run by itself. When it is asked
/// to stop it says that it leaves, so that others take over at once; work in hand is lost and asked again.
/// </summary>
internal sealed class DeviceHost(
    IOptions<DeviceHostOptions> options, IControlPlane control, IActivationPublisher publisher, TimeProvider time, IHostApplicationLifetime lifetime, ILoggerFactory loggers)
    : BackgroundService
{
    private readonly string _instance = Guid.NewGuid().ToString("N");
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly Dictionary<string, ServedRun> _runs = [];
    private readonly ILogger _logger = loggers.CreateLogger<DeviceHost>();
    private bool _leaving;

    public override void Dispose()
    {
        _gate.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await ServeAsync(stoppingToken).ConfigureAwait(false);
        }
        catch (BrokerRefusedException exception)
        {
            _logger.LogCritical("Device {Device} ends: {Reason}", options.Value.Name, exception.Message);
            Environment.ExitCode = 1;
            lifetime.StopApplication();
        }
    }

    private async Task ServeAsync(CancellationToken stoppingToken)
    {
        var settings = options.Value;

        // While the device waits to be dealt its clients. What is wrong with the library is told when work needs it.
        _ = Task.Run(LibtorchLoader.Load, CancellationToken.None);
        var profile = await ProfileAsync(settings, stoppingToken).ConfigureAwait(false);
        using var assigned = control.Subscribe<ClientsAssigned>((message, token) => AssignedAsync(message, profile, token), settings.Name);
        using var cancelled = control.Subscribe<RunCancelled>((message, _) => StopAsync(message.RunId));
        using var timer = new PeriodicTimer(settings.HeartbeatInterval, time);
        _logger.LogInformation(
            "Device {Device} is ready: {Rate:0.0} GFLOP/s, {Data}", settings.Name, profile.GigaflopsPerSecond,
            settings.Data is null ? "for simulated clients" : $"with data of its own, {settings.Data}");
        try
        {
            do
            {
                await control.PublishAsync(Alive(settings, profile, leaving: false), stoppingToken).ConfigureAwait(false);
            }
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            _logger.LogInformation("Device {Device} leaves", settings.Name);
        }

        await LeaveAsync(settings, profile).ConfigureAwait(false);
    }

    private static async Task<DeviceProfile> ProfileAsync(DeviceHostOptions settings, CancellationToken cancellationToken)
    {
        var rate = settings.GigaflopsPerSecond;
        if (rate == 0)
        {
            using var thread = new ComputeThread("profile", 1);
            rate = await thread.RunAsync(LinearRate.MeasureGigaflopsPerSecond, cancellationToken).ConfigureAwait(false);
        }

        return new DeviceProfile(rate, settings.MemoryBytes, settings.UplinkBytesPerSecond);
    }

    private DeviceAlive Alive(DeviceHostOptions settings, DeviceProfile profile, bool leaving) =>
        new(settings.Name, _instance, profile, leaving, HasOwnData: settings.Data is not null);

    private async ValueTask AssignedAsync(ClientsAssigned message, DeviceProfile profile, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // Dealt before the coordinator heard of the leaving: it deals again when it does.
            if (_leaving)
            {
                return;
            }

            if (_runs.TryGetValue(message.RunId, out var served))
            {
                if (served.IsServing(message.Clients))
                {
                    return;
                }

                _runs.Remove(message.RunId);
                await served.DisposeAsync().ConfigureAwait(false);
            }

            if (message.Clients.Length > 0)
            {
                _logger.LogInformation("Run {Run}: serving {Clients}", message.RunId, string.Join(", ", message.Clients.Select(client => client.ClientId)));
                _runs.Add(message.RunId, ServedRun.Start(message, options.Value, profile, control, publisher, time, loggers));
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    private async ValueTask StopAsync(string runId)
    {
        await _gate.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_runs.Remove(runId, out var served))
            {
                await served.DisposeAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task LeaveAsync(DeviceHostOptions settings, DeviceProfile profile)
    {
        await _gate.WaitAsync().ConfigureAwait(false);
        _leaving = true;
        _gate.Release();
        await control.PublishAsync(Alive(settings, profile, leaving: true), CancellationToken.None).ConfigureAwait(false);
        foreach (var runId in _runs.Keys.ToArray())
        {
            await StopAsync(runId).ConfigureAwait(false);
        }
    }
}
