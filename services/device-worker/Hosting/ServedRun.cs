using Microsoft.Extensions.Logging;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;

namespace SplitFrozen.DeviceWorker.Hosting;

/// <summary>The clients of one run that a device serves now, from the dealing until the run ends or they are taken away.</summary>
internal sealed class ServedRun : IAsyncDisposable
{
    private readonly ClientShare[] _clients;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _work;

    private ServedRun(ClientShare[] clients, Func<CancellationToken, Task> work)
    {
        _clients = clients;
        _work = Task.Run(() => work(_stop.Token));
    }

    /// <summary>Opens model and data, registers the clients and answers work.</summary>
    public static ServedRun Start(
        ClientsAssigned message, DeviceHostOptions device, DeviceProfile profile, IControlPlane control, IActivationPublisher publisher, TimeProvider time,
        ILoggerFactory loggers) =>
        new(message.Clients, token => ServeAsync(message, device, profile, control, publisher, time, loggers, token));

    /// <summary>True while just these clients are served; false after the run has ended here.</summary>
    public bool IsServing(ClientShare[] clients) => !_work.IsCompleted && _clients.AsSpan().SequenceEqual(clients);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _work.ConfigureAwait(false);
        _stop.Dispose();
    }

    private static async Task ServeAsync(
        ClientsAssigned message, DeviceHostOptions device, DeviceProfile profile, IControlPlane control, IActivationPublisher publisher, TimeProvider time,
        ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var logger = loggers.CreateLogger<ServedRun>();
        try
        {
            using var data = OpenedData.Open(message.Spec, device, logger);
            var worker = new DeviceWorkerService(
                new DeviceWorkerOptions
                {
                    RunId = message.RunId,
                    Clients = [.. message.Clients.Select(share => data.Client(share, profile))],
                    WireType = message.Spec.Device.WireType,
                    MicroBatch = message.Spec.Device.MicroBatch,
                    MessageBytes = message.Spec.Device.MessageBytes,
                    Threads = message.Spec.Device.Threads,
                },
                data.Model, control, publisher, time, loggers.CreateLogger<DeviceWorkerService>());
            await worker.RunAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            logger.LogInformation("Run {Run}: no longer served here", message.RunId);
        }
        catch (Exception exception) when (device.Data is not null)
        {
            // What is wrong with one device's file, or its copy of the model, is no reason to end the run of the others; nor theirs to read.
            logger.LogError(
                exception, "Run {Run}: this device cannot serve it, and does not tell others why. Correct this, then start the device worker again: {Reason}",
                message.RunId, exception.Message);
        }
        catch (Exception exception)
        {
            logger.LogError(exception, "Run {Run}: this device cannot serve it", message.RunId);
            await control.PublishAsync(
                new RunFailed(message.RunId, $"Device '{message.Device}' cannot serve the run: {exception.Message}"), CancellationToken.None).ConfigureAwait(false);
        }
    }
}
