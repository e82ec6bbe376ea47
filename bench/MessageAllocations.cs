using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.Models;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Bench;

/// <summary>
/// Bytes that a message allocates on the managed heap for each byte of its body, over a broker: on a device from hidden states to the confirmation, at
/// the coordinator from the delivery to entries for the cache.
/// </summary>
internal static class MessageAllocations
{
    private const int Warm = 8;
    private const int Counted = 32;
    private const int Samples = 17;
    private const int Tokens = 40;
    private const int Width = 768;

    /// <summary>Allocated bytes by body bytes of publishing and of receiving.</summary>
    public static async Task<(double Publish, double Receive)> MeasureAsync(string broker, WireType type, CancellationToken cancellationToken)
    {
        const string Client = "client-1";
        LibtorchLoader.Load();
        var time = TimeProvider.System;
        var run = $"allocations-{Guid.NewGuid():N}";
        var data = new RabbitMqDataPlane(
            new RabbitMqOptions { ConnectionString = broker, QueueKind = QueueKind.Classic, MaximumQueueBytes = 256L << 20 },
            new RabbitMqResilience(Backoff.OnFailure(RabbitMqFailures.IsPassing, time, 1), Backoff.While<PublishOutcome>(outcome => outcome == PublishOutcome.QueueFull, time, 1)), time);
        await using var owned = data.ConfigureAwait(false);
        using var hidden = randn(Samples * Tokens, Width);
        var (started, bytes) = (0L, 0L);
        for (var message = 0; message < Warm + Counted; message++)
        {
            if (message == Warm)
            {
                (started, bytes) = (GC.GetTotalAllocatedBytes(precise: true), 0);
            }

            var body = Body(hidden, type);
            bytes += body.Length;
            _ = await data.PublishAsync(run, Client, body, cancellationToken).ConfigureAwait(false);
        }

        var publish = (GC.GetTotalAllocatedBytes(precise: true) - started) / (double)bytes;
        var subscription = await data.SubscribeAsync(run, Client, prefetch: 2, cancellationToken).ConfigureAwait(false);
        await using var ownedSubscription = subscription.ConfigureAwait(false);
        var taken = 0;
        while (taken < Warm + Counted && await subscription.WaitAsync(cancellationToken).ConfigureAwait(false))
        {
            while (subscription.TryReceive(out var delivery))
            {
                if (taken++ == Warm)
                {
                    (started, bytes) = (GC.GetTotalAllocatedBytes(precise: true), 0);
                }

                bytes += delivery!.Body.Length;
                var batch = ActivationBatchCodec.Decode(delivery.Body, new WireLimits(), out var refusal) ?? throw new InvalidOperationException(refusal!.Text);
                ActivationBatchCodec.EncodeCacheEntries(batch).Release();
                await delivery.AcknowledgeAsync(cancellationToken).ConfigureAwait(false);
            }
        }

        var receive = (GC.GetTotalAllocatedBytes(precise: true) - started) / (double)bytes;
        await data.DeleteRunAsync(run, [Client], cancellationToken).ConfigureAwait(false);
        return (publish, receive);
    }

    private static byte[] Body(Tensor hidden, WireType type)
    {
        using var rows = HiddenStateCodec.EncodeRows(hidden, type);
        return ActivationBatchCodec.Encode(
            new ActivationBatch
            {
                RunId = "device", ClientId = "client-1", ModelFingerprint = new string('a', 64), Cut = DeviceFootprint.Cut, Width = Width, WireType = type,
                Lengths = [.. Enumerable.Repeat(Tokens, Samples)], SampleIds = [.. Enumerable.Range(0, Samples).Select(SampleId.Training)], Labels = new int[Samples],
                LabelsPerToken = false, HiddenStates = default,
            },
            rows.CopyTo);
    }
}
