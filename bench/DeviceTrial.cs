using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.ControlBus;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>What a device worker's process took to serve a client.</summary>
/// <param name="ToFirstBatch">From the start of the process to its first message at the coordinator's end of the queue.</param>
/// <param name="ProcessorToFirstBatch">Processor time that it had used by then.</param>
/// <param name="PeakBytes">Most memory that it had resident up to its last message.</param>
/// <param name="Bytes">Bytes of all its messages.</param>
/// <param name="Messages">Number of its messages.</param>
/// <param name="Tokens">Tokens in them.</param>
internal sealed record DeviceTrial(TimeSpan ToFirstBatch, TimeSpan ProcessorToFirstBatch, long PeakBytes, long Bytes, int Messages, long Tokens)
{
    private const string Client = "client-1";

    // As the coordinator assigns.
    private const int SamplesPerAssignment = 32;
    private const ushort Prefetch = 4;

    /// <summary>Plays the coordinator to a device worker that is started for it, until all samples of the client have come.</summary>
    /// <param name="cluster">Broker and cache, and a device worker that does not run.</param>
    /// <param name="spec">The run: one client.</param>
    /// <param name="cut">Blocks that the device runs.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<DeviceTrial> RunAsync(Cluster cluster, RunSpec spec, int cut, CancellationToken cancellationToken)
    {
        var time = TimeProvider.System;
        var control = await MassTransitControlPlane.StartAsync(
            new ControlBusOptions { ConnectionString = cluster.Broker.ConnectionString, ProcessName = "bench" }, NullLoggerFactory.Instance, time, cancellationToken).ConfigureAwait(false);
        await using var ownedControl = control.ConfigureAwait(false);
        var data = new RabbitMqDataPlane(
            new RabbitMqOptions { ConnectionString = cluster.Broker.ConnectionString, QueueKind = QueueKind.Classic },
            new RabbitMqResilience(Backoff.OnFailure(RabbitMqFailures.IsPassing, time, 1), Backoff.While<PublishOutcome>(outcome => outcome == PublishOutcome.QueueFull, time, 1)), time);
        await using var ownedData = data.ConfigureAwait(false);
        var runId = $"device-{Guid.NewGuid():N}";
        var device = cluster.Devices[0];
        var manifest = new TaskCompletionSource<ManifestEntry[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        var dealt = false;
        using var subscriptions = new Subscriptions();
        subscriptions.Add(control.Subscribe<DeviceAlive>(async (message, token) =>
        {
            if (!dealt && message.Device == device.Name)
            {
                dealt = true;
                await control.PublishAsync(new ClientsAssigned(runId, device.Name, spec, [new ClientShare(Client, cut)]), token).ConfigureAwait(false);
            }
        }));
        subscriptions.Add(control.Subscribe<ClientRegistered>(async (message, token) =>
        {
            if (message.RunId == runId && manifest.TrySetResult(message.Manifest))
            {
                foreach (var (part, sequence) in message.Manifest.Chunk(SamplesPerAssignment).Select((part, sequence) => (part, sequence)))
                {
                    await control.PublishAsync(new WorkAssigned(runId, Client, sequence, sequence, [.. part.Select(entry => entry.Id)]), token).ConfigureAwait(false);
                }
            }
        }));
        subscriptions.Add(control.Subscribe<RunFailed>((message, _) =>
        {
            manifest.TrySetException(new InvalidOperationException(message.Reason));
            return ValueTask.CompletedTask;
        }));
        var subscription = await data.SubscribeAsync(runId, Client, Prefetch, cancellationToken).ConfigureAwait(false);
        await using var ownedSubscription = subscription.ConfigureAwait(false);
        var clock = Stopwatch.StartNew();
        device.Start();
        try
        {
            return await ReceiveAsync(subscription, device, manifest.Task, clock, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await device.KillAsync().ConfigureAwait(false);
            await data.DeleteRunAsync(runId, [Client], CancellationToken.None).ConfigureAwait(false);
        }
    }

    private static async Task<DeviceTrial> ReceiveAsync(
        IActivationSubscription subscription, Service device, Task<ManifestEntry[]> manifest, Stopwatch clock, CancellationToken cancellationToken)
    {
        var expected = (await manifest.WaitAsync(cancellationToken).ConfigureAwait(false)).Length;
        var (first, processor) = (TimeSpan.Zero, TimeSpan.Zero);
        var (samples, messages, bytes, tokens) = (0, 0, 0L, 0L);
        while (samples < expected && await subscription.WaitAsync(cancellationToken).ConfigureAwait(false))
        {
            while (subscription.TryReceive(out var delivery))
            {
                if (messages++ == 0)
                {
                    (first, processor) = (clock.Elapsed, device.ProcessorTime);
                }

                var batch = ActivationBatchCodec.Decode(delivery!.Body, new WireLimits(), out var refusal)
                    ?? throw new InvalidOperationException($"The device worker's message is refused: {refusal!.Text}");
                (samples, bytes, tokens) = (samples + batch.Lengths.Length, bytes + delivery.Body.Length, tokens + batch.Tokens);
                await delivery.AcknowledgeAsync(cancellationToken).ConfigureAwait(false);
            }
        }

        return new DeviceTrial(first, processor, device.PeakMemory, bytes, messages, tokens);
    }
}
