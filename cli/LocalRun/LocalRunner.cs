using System.Runtime.ExceptionServices;
using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Coordinator;
using SplitFrozen.DeviceWorker;
using SplitFrozen.Messaging;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Tasks;
using SplitFrozen.Trainer;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>
/// Runs coordinator, device worker and trainer in this process: the same classes as in a cluster, with an in-process data
/// and control plane and an embedded cache between them. One device worker serves all clients; the held-out split is a
/// client of its own at the boundary.
/// </summary>
internal sealed class LocalRunner(PreparedRun run, RunFolder folder, string runId, ILoggerFactory loggers, TimeProvider time)
{
    /// <summary>Runs to the end, or until cancelled: then the trainer has written a checkpoint.</summary>
    /// <param name="observers">Look on.</param>
    /// <param name="cancellationToken">Ctrl-C.</param>
    /// <exception cref="RunFailedException">A service gave up; the message says why.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, with a checkpoint.</exception>
    public async Task RunAsync(IReadOnlyList<IRunObserver> observers, CancellationToken cancellationToken)
    {
        await using var server = await EmbeddedCacheServer.StartAsync(
            new EmbeddedCacheOptions { Directory = run.Spec.Cache.Directory, MaximumBytes = run.Spec.Cache.MaxBytes }, cancellationToken).ConfigureAwait(false);
        await using var connection = await CacheConnection.ConnectAsync(server.ConnectionString, cancellationToken).ConfigureAwait(false);
        using var cache = new RedisActivationCache(connection, run.Spec.Cache.MaxBytes);
        var ledger = new RedisRunLedger(connection);
        await using var control = new InProcessControlPlane();
        using var recorder = new RunRecorder(control, runId, observers, time);
        var fault = await FaultOf(ServeAsync(control, cache, ledger, cancellationToken)).ConfigureAwait(false);
        await control.DrainAsync().ConfigureAwait(false);
        if (recorder.Failure is { } reason)
        {
            throw new RunFailedException(reason, fault?.SourceException);
        }

        fault?.Throw();
        cancellationToken.ThrowIfCancellationRequested();
        if (!recorder.Finished)
        {
            throw new RunFailedException("The services stopped before the last step. The same command goes on from the last checkpoint.");
        }

        await ledger.DeleteAsync(runId, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>The events that were sent before a fault must still reach the observers, so it is kept until they have.</summary>
    private static async Task<ExceptionDispatchInfo?> FaultOf(Task work)
    {
        try
        {
            await work.ConfigureAwait(false);
            return null;
        }
#pragma warning disable CA1031 // Whatever it is, the caller throws it again.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            return ExceptionDispatchInfo.Capture(exception);
        }
    }

    private async Task ServeAsync(InProcessControlPlane control, RedisActivationCache cache, RedisRunLedger ledger, CancellationToken cancellationToken)
    {
        var plane = new InProcessDataPlane();
        var worker = new DeviceWorkerService(
            WorkerOptions(), run.Model, control, plane, time, loggers.CreateLogger<DeviceWorkerService>());
        var coordinator = new CoordinatorService(
            CoordinatorOptions(), control, plane, plane, cache, ledger, time, loggers.CreateLogger<CoordinatorService>());
        var trainer = new TrainerService(
            TrainerOptions(), run.Model, control, plane, cache, time, loggers.CreateLogger<TrainerService>());
        await ServiceTasks.RunAsync(
            token => trainer.RunAsync(token),
            [coordinator.RunAsync, worker.RunAsync, token => StopOnLostMessageAsync(control, token)],
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A handler that threw lost its message; going on would wait for ever.</summary>
    private static async Task StopOnLostMessageAsync(InProcessControlPlane control, CancellationToken cancellationToken)
    {
        var failure = await control.FirstFailure.WaitAsync(cancellationToken).ConfigureAwait(false);
        throw new RunFailedException($"A {failure.MessageType.Name} message could not be handled: {failure.Exception.Message}", failure.Exception);
    }

    private DeviceWorkerOptions WorkerOptions() => new()
    {
        RunId = runId,
        Clients = [.. Clients(), new DeviceClient(ClientNames.Evaluation, run.Spec.Model.Boundary, run.Data.Evaluation)],
        WireType = run.Spec.Device.WireType,
        MicroBatch = run.Spec.Device.MicroBatch,
        MessageBytes = run.Spec.Device.MessageBytes,
        Threads = run.Spec.Device.Threads,
    };

    private IEnumerable<DeviceClient> Clients() => run.Partition.Select((rows, client) =>
        new DeviceClient(ClientNames.Of(client), run.Cut(client), [.. rows.Select(row => run.Data.Train[row])]));

    private CoordinatorOptions CoordinatorOptions() => new()
    {
        RunId = runId,
        Clients = [.. Enumerable.Range(0, run.Partition.Length).Select(ClientNames.Of), ClientNames.Evaluation],
        ModelFingerprint = run.Model.Fingerprint,
        Boundary = run.Spec.Model.Boundary,
        Width = run.Model.Config.Width,
        WireType = run.Spec.Device.WireType,
        LabelsPerToken = run.Data.Task.Kind == TaskKind.LanguageModel,
        LabelBound = run.Data.Task.Kind == TaskKind.LanguageModel ? run.Model.Config.VocabularySize : run.Data.Task.Classes,
        MaximumLength = run.Spec.Task.MaxLength,
        Seed = unchecked((ulong)run.Spec.Seed),
        Epochs = run.Spec.Training.Epochs,
        BatchSize = run.Spec.Training.BatchSize,
        Order = run.Spec.Training.Order == "available" ? StepOrder.Available : StepOrder.Planned,
        WorkAheadBytes = run.Spec.Cache.MaxBytes / 2,
        CompleteWithoutMissing = run.Spec.Clients.Missing == "complete",
    };

    private TrainerOptions TrainerOptions() => new()
    {
        RunId = runId,
        Spec = run.Spec,
        Task = run.Data.Task,
        LowestCut = run.LowestCut,
        Folder = folder.Checkpoints,
    };
}
