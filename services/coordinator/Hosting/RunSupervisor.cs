using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>
/// Works on all runs while this process holds the lease <c>coordinator</c>; otherwise it waits for the lease. It stops all work before a
/// lease that it cannot extend could be another's.
/// </summary>
internal sealed class RunSupervisor(RunServices services, KnownRuns runs, RedisLeases leases, ILogger<RunSupervisor> logger) : BackgroundService
{
    private const string LeaseName = "coordinator";

    private readonly string _owner = $"{Environment.MachineName}-{Guid.NewGuid():N}";

    /// <summary>True while this process holds the lease.</summary>
    public bool IsActive { get; private set; }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var devices = services.Control.Subscribe<DeviceAlive>((message, _) =>
        {
            services.Devices.Heard(message);
            return ValueTask.CompletedTask;
        });
        using var strays = services.Control.Subscribe<RunPrepared>(SendHomeAsync);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await runs.OpenAsync(restore: false, stoppingToken).ConfigureAwait(false);
                if (await leases.TryTakeAsync(LeaseName, _owner, services.Options.LeaseTime, stoppingToken).ConfigureAwait(false) is { } lease)
                {
                    await HoldAsync(lease, stoppingToken).ConfigureAwait(false);
                }

                await Task.Delay(services.Options.LeaseRenewal, services.Time, stoppingToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
#pragma warning disable CA1031 // The process goes on as a standby, whatever happened: the store may come back.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                logger.LogError(exception, "The coordinator steps back to standby");
                await Task.Delay(services.Options.LeaseRenewal, services.Time, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    /// <summary>A trainer took a run up by an offer that was on its way when the run ended.</summary>
    private async ValueTask SendHomeAsync(RunPrepared message, CancellationToken cancellationToken)
    {
        if (IsActive && await services.Store.FindAsync(message.RunId, cancellationToken).ConfigureAwait(false) is not { IsActive: true })
        {
            await services.Control.PublishAsync(new RunCancelled(message.RunId), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task HoldAsync(Lease lease, CancellationToken cancellationToken)
    {
        logger.LogInformation("This coordinator is active; lease epoch {Epoch}", lease.Epoch);
        IsActive = true;
        try
        {
            await ServiceTasks.RunAsync(SuperviseAsync, [token => ExtendAsync(lease, token)], cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            IsActive = false;
            await TryReleaseAsync(lease).ConfigureAwait(false);
        }
    }

    /// <summary>Fails when the lease is lost, or could be before the next extension.</summary>
    private async Task ExtendAsync(Lease lease, CancellationToken cancellationToken)
    {
        var limit = services.Options.LeaseTime - services.Options.LeaseRenewal;
        var extended = services.Time.GetTimestamp();
        while (true)
        {
            await Task.Delay(services.Options.LeaseRenewal, services.Time, cancellationToken).ConfigureAwait(false);
            var attempt = services.Time.GetTimestamp();
            var rest = limit - services.Time.GetElapsedTime(extended, attempt);
            try
            {
                if (!await leases.ExtendAsync(lease, services.Options.LeaseTime, cancellationToken)
                    .WaitAsync(rest > TimeSpan.Zero ? rest : TimeSpan.Zero, services.Time, cancellationToken).ConfigureAwait(false))
                {
                    throw new CoordinatorException($"The lease of epoch {lease.Epoch} is lost to another coordinator.");
                }

                extended = attempt;
            }
            catch (Exception exception) when (exception is not (CoordinatorException or OperationCanceledException))
            {
                if (services.Time.GetElapsedTime(extended) >= limit)
                {
                    throw new CoordinatorException($"The lease of epoch {lease.Epoch} could not be extended in time: {exception.Message}");
                }

                logger.LogWarning(exception, "The lease could not be extended; trying again");
            }
        }
    }

    private async Task TryReleaseAsync(Lease lease)
    {
        try
        {
            await leases.ReleaseAsync(lease, CancellationToken.None).WaitAsync(services.Options.LeaseRenewal, services.Time).ConfigureAwait(false);
        }
#pragma warning disable CA1031 // A lease that cannot be given back ends by itself.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            logger.LogWarning(exception, "The lease could not be given back; it ends by itself");
        }
    }

    private async Task SuperviseAsync(CancellationToken cancellationToken)
    {
        var works = new Dictionary<string, (RunWork Work, Task Task)>();
        try
        {
            using var timer = new PeriodicTimer(services.Options.RunPoll, services.Time);
            do
            {
                await ReconcileAsync(works, cancellationToken).ConfigureAwait(false);
            }
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false));
        }
        finally
        {
            await Task.WhenAll(works.Values.Select(work => work.Task)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            foreach (var (work, _) in works.Values)
            {
                work.Dispose();
            }
        }
    }

    /// <summary>Starts work on runs that are open, and tells that on a run which is no longer active to stop.</summary>
    private async Task ReconcileAsync(Dictionary<string, (RunWork Work, Task Task)> works, CancellationToken cancellationToken)
    {
        foreach (var (runId, (work, task)) in works.Where(item => item.Value.Task.IsCompleted).ToArray())
        {
            if (task.Exception is { } fault)
            {
                logger.LogError(fault.InnerException, "Work on run {Run} broke off; it starts again", runId);
            }

            work.Dispose();
            works.Remove(runId);
        }

        foreach (var run in await runs.OpenAsync(restore: true, cancellationToken).ConfigureAwait(false))
        {
            if (!works.TryGetValue(run.RunId, out var current))
            {
                var work = new RunWork(services, run);
                works.Add(run.RunId, (work, Task.Run(() => work.RunAsync(cancellationToken), CancellationToken.None)));
            }
            else if (!run.IsActive)
            {
                current.Work.Stop();
            }
        }
    }
}
