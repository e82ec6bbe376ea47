using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Torch;
using SplitFrozen.Trainer.Stages;
using SplitFrozen.Training.Export;
using SplitFrozen.Training.Pipelining;

namespace SplitFrozen.Trainer.Hosting;

/// <summary>
/// One run in a trainer's hands: keeps its lease, trains, and at the end exports the adapter to the run's folder and the
/// artifact store. A lost lease stops the training like a cancellation does; whoever takes the run then goes on from the checkpoint.
/// </summary>
internal sealed class TrainerRun(
    string runId, TrainerHostOptions options, string folder, OpenedRun opened, Lease lease, RunFolderLock folderLock, TrainerServices services) : IAsyncDisposable
{
    private readonly ILogger _logger = services.Loggers.CreateLogger<TrainerRun>();
    private int[]? _boundaries;

    public string RunId => runId;

    private string Checkpoints => Path.Combine(folder, "checkpoints");

    /// <summary>Tells the coordinator who works on the run and what it has found.</summary>
    public ValueTask AnnounceAsync(CancellationToken cancellationToken) =>
        services.Control.PublishAsync(new RunPrepared(runId, options.Name, opened.Facts), cancellationToken);

    /// <summary>Trains until the run has ended, is cancelled, or the lease is lost.</summary>
    public async Task WorkAsync(CancellationToken stoppingToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        using var cancelled = services.Control.Subscribe<RunCancelled>(async (message, _) =>
        {
            if (message.RunId != runId)
            {
                return;
            }

            try
            {
                await stop.CancelAsync().ConfigureAwait(false);
            }
            catch (ObjectDisposedException)
            {
                // The work has ended meanwhile.
            }
        });
        await AnnounceAsync(stop.Token).ConfigureAwait(false);
        var training = Options();
        var trainer = new TrainerService(
            training, opened.Model, services.Control, services.Steps, services.Cache, services.Time, services.Loggers.CreateLogger<TrainerService>(),
            options.Role.IsAlone ? null : token => GatherAsync(training, token));
        try
        {
            await ServiceTasks.RunAsync(trainer.RunAsync, [KeepLeaseAsync], stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
        {
            _logger.LogInformation("Run {Run}: cancelled, with a checkpoint", runId);
            return;
        }

        if (trainer.Finished)
        {
            await ExportAsync(stoppingToken).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        opened.Dispose();
        folderLock.Dispose();
        await services.Leases.ReleaseAsync(lease, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Looks for the other stages. Where the blocks are cut is measured once, and not again after a failure.</summary>
    private async Task<StageSet> GatherAsync(TrainerOptions training, CancellationToken cancellationToken)
    {
        _boundaries ??= await StageSets.BoundariesAsync(training, opened.Model, options.Role.Stages, services.Time, cancellationToken).ConfigureAwait(false);
        var setup = new StageSessionSetup(training, opened.Model, options.Role, _boundaries, services.Control, services.Stages, services.Time, _logger);
        return await StageSession.GatherAsync(setup, cancellationToken).ConfigureAwait(false);
    }

    private TrainerOptions Options() => new()
    {
        RunId = runId,
        Spec = opened.Spec,
        Task = opened.Task,
        LowestCut = opened.LowestCut,
        Folder = Checkpoints,
        PrefetchBytes = options.PrefetchBytes,
    };

    private async Task KeepLeaseAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(options.LeaseTime / 3, services.Time);
        while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
        {
            try
            {
                if (!await services.Leases.ExtendAsync(lease, options.LeaseTime, cancellationToken).ConfigureAwait(false))
                {
                    throw new TrainerException($"Run '{runId}': trainer '{options.Name}' no longer has the lease; it stops with a checkpoint.");
                }
            }
            catch (CacheException exception)
            {
                // Nobody else can take the lease either while the server is away, and the folder's lock stays held.
                _logger.LogWarning(exception, "Run {Run}: the lease could not be extended", runId);
            }
        }
    }

    private async Task ExportAsync(CancellationToken cancellationToken)
    {
        var adapterFolder = Path.Combine(folder, "adapter");
        using var thread = new ComputeThread("export", 1);
        await thread.RunAsync(
            () =>
            {
                using var adapter = TrainedAdapter.Open(opened.Model, opened.Spec, runId, opened.Facts.ClassNames, Checkpoints);
                adapter.WritePeft(adapterFolder);
            },
            cancellationToken).ConfigureAwait(false);
        string[] files = [.. Directory.EnumerateFiles(adapterFolder).Order(StringComparer.Ordinal)];
        if (Array.Find(files, file => new FileInfo(file).Length > RedisArtifactStore.MaximumBytes) is { } tooLarge)
        {
            var reason = $"The run is trained, but the coordinator cannot hand out '{Path.GetFileName(tooLarge)}': it has {new FileInfo(tooLarge).Length} bytes, and {RedisArtifactStore.MaximumBytes} "
                + $"are the limit. It is in {adapterFolder} of trainer '{options.Name}'. Next time lower lora.rank or adapt fewer layers.";
            await services.Control.PublishAsync(new RunFailed(runId, reason), cancellationToken).ConfigureAwait(false);
            throw new TrainerException(reason);
        }

        foreach (var file in files)
        {
            await services.Artifacts.StoreAsync(runId, Path.GetFileName(file), await File.ReadAllBytesAsync(file, cancellationToken).ConfigureAwait(false), cancellationToken)
                .ConfigureAwait(false);
        }

        await services.Control.PublishAsync(new AdapterExported(runId, [.. files.Select(file => Path.GetFileName(file)!)]), cancellationToken).ConfigureAwait(false);
        _logger.LogInformation("Run {Run}: finished, the adapter is in {Folder}", runId, adapterFolder);
    }
}
