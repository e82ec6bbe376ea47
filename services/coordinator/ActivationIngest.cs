using System.Diagnostics;
using System.Threading.Channels;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Coordinator;

/// <summary>A client's samples are in the cache and the ledger.</summary>
/// <param name="ClientId">The client.</param>
/// <param name="Samples">The samples.</param>
/// <param name="Batch">The span that took them in; default for none.</param>
internal sealed record SamplesIngested(string ClientId, SampleId[] Samples, ActivityContext Batch);

/// <summary>Messages of a client were refused; this is why the last of them was.</summary>
internal sealed record DeliveryRefused(string ClientId, string Reason);

/// <summary>
/// Takes activation messages from all client queues, fairly in bytes, and brings them into the cache: validate, store one
/// entry per sample, record in the ledger, acknowledge. A message that is refused goes to the dead letters with its
/// reason. At most <see cref="CoordinatorOptions.IngestConcurrency"/> bodies are in work at once, whatever the number of clients.
/// </summary>
internal sealed class ActivationIngest(
    CoordinatorOptions options,
    SampleDirectory directory,
    IActivationSource source,
    IActivationCache cache,
    IRunLedger ledger,
    IControlPlane control,
    Refusals refusals,
    Action<object> report) : IDisposable
{
    private const int MaximumAnnouncements = 1024;

    /// <summary>What a message costs the intake at least, in bytes of a large one: many tiny ones buy no more of it than a few large ones.</summary>
    private const int LeastCharge = 16 << 10;

    private const double LeastWeight = 1.0 / 16;
    private const int MaximumPrefetch = 32;

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _work = new(0);
    private readonly DeficitRoundRobin<string> _scheduler = new(LeastCharge);
    private readonly Dictionary<string, ClientQueue> _queues = [];
    private readonly Queue<(ClientQueue Queue, IActivationDelivery Delivery)> _found = [];
    private readonly Channel<ActivationsIngested> _announcements = Channel.CreateBounded<ActivationsIngested>(
        new BoundedChannelOptions(MaximumAnnouncements) { SingleReader = true });

    /// <summary>Serves the queues of all clients until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await SubscribeAsync(cancellationToken).ConfigureAwait(false);
            await ServiceTasks.RunAsync(
                ServeAsync,
                Enumerable.Repeat<Func<CancellationToken, Task>>(ServeAsync, options.IngestConcurrency - 1)
                    .Append(AnnounceAsync)
                    .Concat(_queues.Values.Select<ClientQueue, Func<CancellationToken, Task>>(queue => token => WatchAsync(queue, token))),
                cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            foreach (var queue in _queues.Values)
            {
                await queue.Subscription.DisposeAsync().ConfigureAwait(false);
                queue.Drained.Dispose();
            }
        }
    }

    /// <summary>True when no message of the client waits or is in work. A message that is found by looking is taken in.</summary>
    public bool IsEmpty(string clientId)
    {
        lock (_gate)
        {
            if (!_queues.TryGetValue(clientId, out var queue) || queue.Active || queue.InWork > 0)
            {
                return false;
            }

            if (!queue.Subscription.TryReceive(out var delivery))
            {
                return true;
            }

            queue.InWork++;
            _found.Enqueue((queue, delivery!));
        }

        _work.Release();
        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => _work.Dispose();

    private WireLimits Limits(ClientEntry client) => new()
    {
        MaximumBodyBytes = options.MaximumMessageBytes,
        MaximumTokensPerSample = options.MaximumLength,
        RunId = options.RunId,
        ClientId = client.Id,
        ModelFingerprint = options.ModelFingerprint,
        Cut = client.Cut,
        Width = options.Width,
        WireType = options.WireType,
        LabelsPerToken = options.LabelsPerToken,
        LabelLimit = options.LabelBound,
    };

    private async Task SubscribeAsync(CancellationToken cancellationToken)
    {
        var total = directory.Samples.Count;
        foreach (var client in directory.Samples.GroupBy(entry => entry.Client))
        {
            // A turn of a client is as many messages as its weight, and they must be at hand then. All clients together hold at most twice what equal ones would.
            var weight = Math.Max(LeastWeight, (double)client.Count() * directory.Clients.Count / total);
            var prefetch = (int)Math.Clamp(Math.Ceiling(weight * options.Prefetch), options.Prefetch, MaximumPrefetch);
            var subscription = await source.SubscribeAsync(options.RunId, client.Key.Id, prefetch, cancellationToken).ConfigureAwait(false);
            lock (_gate)
            {
                _queues.Add(client.Key.Id, new ClientQueue(client.Key, subscription, Limits(client.Key)));
                _scheduler.SetWeight(client.Key.Id, weight);
            }
        }
    }

    private async Task WatchAsync(ClientQueue queue, CancellationToken cancellationToken)
    {
        while (await queue.Subscription.WaitAsync(cancellationToken).ConfigureAwait(false))
        {
            lock (_gate)
            {
                queue.Active = true;
                _scheduler.Activate(queue.Client.Id);
            }

            _work.Release(options.IngestConcurrency);
            await queue.Drained.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task ServeAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await _work.WaitAsync(cancellationToken).ConfigureAwait(false);
            while (TryTake(out var queue, out var delivery))
            {
                var bytes = delivery!.Body.Length;
                CoordinatorTelemetry.InFlight(options.RunId, bytes);
                try
                {
                    await TakeInAsync(queue!, delivery, cancellationToken).ConfigureAwait(false);
                }
                finally
                {
                    CoordinatorTelemetry.InFlight(options.RunId, -bytes);
                    lock (_gate)
                    {
                        queue!.InWork--;
                    }
                }
            }
        }
    }

    private bool TryTake(out ClientQueue? queue, out IActivationDelivery? delivery)
    {
        lock (_gate)
        {
            if (_found.TryDequeue(out var found))
            {
                (queue, delivery) = found;
                return true;
            }

            while (_scheduler.TryNext(out var clientId))
            {
                queue = _queues[clientId!];
                if (queue.Subscription.TryReceive(out delivery))
                {
                    _scheduler.Charge(clientId!, Math.Max(LeastCharge, delivery!.Body.Length));
                    queue.InWork++;
                    return true;
                }

                _scheduler.Deactivate(clientId!);
                queue.Active = false;
                queue.Drained.Release();
            }

            (queue, delivery) = (null, null);
            return false;
        }
    }

    private async Task TakeInAsync(ClientQueue queue, IActivationDelivery delivery, CancellationToken cancellationToken)
    {
        using var processing = delivery.Trace.StartProcess();
        var clientId = queue.Client.Id;
        var bytes = delivery.Body.Length;
        if (Validated(queue, delivery, processing, out var reason) is not { } batch)
        {
            await delivery.RejectAsync(reason!, cancellationToken).ConfigureAwait(false);
            if (await refusals.TellAsync(clientId, "a message", reason!, cancellationToken).ConfigureAwait(false))
            {
                report(new DeliveryRefused(clientId, reason!));
            }

            return;
        }

        var samples = batch.SampleIds;
        processing?.SetTag(TelemetryNames.Samples, samples.Length);
        using (CoordinatorTelemetry.StartPart(SpanNames.Cache))
        {
            var entries = ActivationBatchCodec.EncodeCacheEntries(batch);
            await cache.StoreAsync([.. samples.Select((id, i) => new CacheEntry(directory.Key(directory[id]), entries[i]))], cancellationToken).ConfigureAwait(false);
            entries.Release();
            await ledger.RecordIngestedAsync(options.RunId, [.. samples.Select(id => id.Value)], cancellationToken).ConfigureAwait(false);
        }

        report(new SamplesIngested(clientId, samples, processing?.Context ?? default));
        await delivery.AcknowledgeAsync(cancellationToken).ConfigureAwait(false);
        CoordinatorTelemetry.Ingested(options.RunId, clientId, samples.Length, bytes);
        await _announcements.Writer.WriteAsync(new ActivationsIngested(options.RunId, clientId, samples.Length, bytes), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The batch; null where the message is refused, with the reason as one sentence.</summary>
    private ActivationBatch? Validated(ClientQueue queue, IActivationDelivery delivery, Activity? processing, out string? reason)
    {
        using var span = CoordinatorTelemetry.StartPart(SpanNames.Validate);
        var batch = ActivationBatchCodec.Decode(delivery.Body, queue.Limits, out var refusal);
        reason = refusal?.Text ?? ManifestFault(batch!, queue.Client.Id);
        if (reason is null)
        {
            return batch;
        }

        CoordinatorTelemetry.Refuse(processing, options.RunId, queue.Client.Id, refusal?.Reason);
        return null;
    }

    /// <summary>
    /// Tells what was taken in, aside from the intake: no body waits for it. What comes for a client while the news before is on its way is told
    /// as one.
    /// </summary>
    private async Task AnnounceAsync(CancellationToken cancellationToken)
    {
        var pending = new Dictionary<string, ActivationsIngested>();
        while (await _announcements.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            while (_announcements.Reader.TryRead(out var next))
            {
                pending[next.ClientId] = pending.TryGetValue(next.ClientId, out var before)
                    ? next with { Samples = before.Samples + next.Samples, Bytes = before.Bytes + next.Bytes }
                    : next;
            }

            foreach (var message in pending.Values)
            {
                await control.PublishAsync(message, cancellationToken).ConfigureAwait(false);
            }

            pending.Clear();
        }
    }

    /// <summary>Checks the samples against the client's manifest; null when they fit. Only fixed properties of the directory are read.</summary>
    private string? ManifestFault(ActivationBatch batch, string clientId)
    {
        for (var i = 0; i < batch.SampleIds.Length; i++)
        {
            var id = batch.SampleIds[i];
            if (!directory.TryGet(id, out var entry) || entry!.Client.Id != clientId)
            {
                return $"Sample {id} is not in the manifest of client '{clientId}'.";
            }

            if (entry.Length != batch.Lengths[i])
            {
                return $"Sample {id} has {batch.Lengths[i]} tokens; the manifest of client '{clientId}' says {entry.Length}.";
            }
        }

        return null;
    }

    private sealed class ClientQueue(ClientEntry client, IActivationSubscription subscription, WireLimits limits)
    {
        public ClientEntry Client { get; } = client;

        public IActivationSubscription Subscription { get; } = subscription;

        public WireLimits Limits { get; } = limits;

        public SemaphoreSlim Drained { get; } = new(0, 1);

        public bool Active { get; set; }

        public int InWork { get; set; }
    }
}
