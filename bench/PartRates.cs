using System.Diagnostics;
using SplitFrozen.ActivationCache;
using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.Models;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Tasks;
using SplitFrozen.TestServers;
using SplitFrozen.Torch;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Bench;

/// <summary>How fast the parts of a run are on this machine, each by itself.</summary>
/// <param name="DeviceGigaflops">The device's forward with encoding, in useful GFLOP/s.</param>
/// <param name="TrainerGigaflops">The trainer's steps, optimiser included, in useful GFLOP/s.</param>
/// <param name="UplinkBytesPerSecond">Publishing with confirmation.</param>
/// <param name="IntakeBytesPerSecond">Taking a message off the queue and storing its samples in the cache.</param>
internal sealed record PartRates(double DeviceGigaflops, double TrainerGigaflops, double UplinkBytesPerSecond, double IntakeBytesPerSecond)
{
    private const int DeviceSamples = 480;
    private const int TrainerSteps = 16;
    private const int Messages = 24;
    private const int MessageSamples = 32;

    /// <summary>Measures all, one after the other: in a run one part binds, and the others hardly get in its way.</summary>
    internal static async Task<PartRates> MeasureAsync(SimulatorCase check, ModelFolder model, IReadOnlyList<EncodedSample> samples, Cluster cluster, CancellationToken cancellationToken)
    {
        using var thread = new ComputeThread("rates", 1);
        var workload = check.Workload(model.Config, samples);
        var flops = new TrainingFlops(workload.Model, workload.Lora, workload.Head, workload.Classes);
        var deviceGigaflops = await thread.RunAsync(() => DeviceRate(check, model, samples, flops), cancellationToken).ConfigureAwait(false);
        var trainerGigaflops = await thread.RunAsync(() => TrainerRate(check, model, samples, workload, flops), cancellationToken).ConfigureAwait(false);
        var batches = await thread.RunAsync(() => Batches(check, model, samples), cancellationToken).ConfigureAwait(false);
        var (uplink, intake) = await TransferRatesAsync(batches, cluster, cancellationToken).ConfigureAwait(false);
        return new PartRates(deviceGigaflops, trainerGigaflops, uplink, intake);
    }

    private static double DeviceRate(SimulatorCase check, ModelFolder model, IReadOnlyList<EncodedSample> samples, TrainingFlops flops)
    {
        using var encoder = FrozenEncoder.Open(model, check.Boundary);
        var parts = samples.Take(DeviceSamples).Chunk(16).ToArray();
        _ = Encode(encoder, parts[0]);
        var started = Stopwatch.GetTimestamp();
        foreach (var part in parts)
        {
            _ = Encode(encoder, part);
        }

        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        return parts.Sum(part => part.Sum(sample => flops.Frozen(0, check.Boundary, Size(sample)))) / seconds / 1e9;
    }

    private static double TrainerRate(SimulatorCase check, ModelFolder model, IReadOnlyList<EncodedSample> samples, Workload workload, TrainingFlops flops)
    {
        using var encoder = FrozenEncoder.Open(model, check.Boundary);
        using var upper = UpperModel.Open(model, new UpperModelOptions
        {
            LowestCut = check.Boundary, Boundary = check.Boundary, Head = workload.Head, Classes = workload.Classes, Lora = workload.Lora,
        });
        using var tuner = new FineTuner(upper, new TrainingSpec(), TrainerSteps + 2, seed: 1, labelsPerToken: false);
        var steps = samples.Chunk(workload.BatchSize).Take(TrainerSteps + 1).Select(step => Prepare(encoder, step, workload.WireType)).ToArray();
        _ = tuner.Train(0, steps[0]);
        var started = Stopwatch.GetTimestamp();
        for (var step = 1; step < steps.Length; step++)
        {
            _ = tuner.Train(step, steps[step]);
        }

        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        var work = samples.Skip(workload.BatchSize).Take(TrainerSteps * workload.BatchSize)
            .Sum(sample => flops.Trained(check.Boundary, workload.Model.Layers, Size(sample), needInput: false).Total);
        Array.ForEach(steps, step => Array.ForEach(step, sample => sample.Hidden.Dispose()));
        return work / seconds / 1e9;
    }

    private static async Task<(double Uplink, double Intake)> TransferRatesAsync(ActivationBatch[] batches, Cluster cluster, CancellationToken cancellationToken)
    {
        var time = TimeProvider.System;
        var data = new RabbitMqDataPlane(
            new RabbitMqOptions { ConnectionString = cluster.Broker.ConnectionString, QueueKind = QueueKind.Classic, MaximumQueueBytes = 256L << 20 },
            new RabbitMqResilience(Backoff.OnFailure(RabbitMqFailures.IsPassing, time, 1), Backoff.While<PublishOutcome>(outcome => outcome == PublishOutcome.QueueFull, time, 1)), time);
        await using var owned = data.ConfigureAwait(false);
        var connection = await CacheConnection.ConnectAsync(cluster.Redis.ConnectionString, cancellationToken).ConfigureAwait(false);
        await using var ownedConnection = connection.ConfigureAwait(false);
        using var cache = new RedisActivationCache(connection, 1L << 30);
        const string Run = "rates";
        const string Client = "client-1";
        byte[][] bodies = [.. batches.Select(ActivationBatchCodec.Encode)];
        _ = await data.PublishAsync(Run, Client, bodies[0], cancellationToken).ConfigureAwait(false);
        var started = Stopwatch.GetTimestamp();
        foreach (var body in bodies)
        {
            _ = await data.PublishAsync(Run, Client, body, cancellationToken).ConfigureAwait(false);
        }

        var publishing = Stopwatch.GetElapsedTime(started).TotalSeconds;
        var subscription = await data.SubscribeAsync(Run, Client, prefetch: 2, cancellationToken).ConfigureAwait(false);
        await using var ownedSubscription = subscription.ConfigureAwait(false);
        started = Stopwatch.GetTimestamp();
        for (var taken = 0; taken <= bodies.Length;)
        {
            _ = await subscription.WaitAsync(cancellationToken).ConfigureAwait(false);
            while (subscription.TryReceive(out var delivery))
            {
                await StoreAsync(cache, delivery!, taken++, cancellationToken).ConfigureAwait(false);
            }
        }

        var taking = Stopwatch.GetElapsedTime(started).TotalSeconds;
        await data.DeleteRunAsync(Run, [Client], cancellationToken).ConfigureAwait(false);
        var bytes = bodies.Sum(body => (double)body.Length);
        return (bytes / publishing, (bytes + bodies[0].Length) / taking);
    }

    private static async Task StoreAsync(RedisActivationCache cache, IActivationDelivery delivery, int number, CancellationToken cancellationToken)
    {
        var batch = ActivationBatchCodec.TryDecode(delivery.Body, new WireLimits(), out var decoded, out var reason) ? decoded : throw new InvalidOperationException(reason);
        var entries = ActivationBatchCodec.EncodeCacheEntries(batch);
        await cache.StoreAsync([.. entries.Select((entry, i) => new CacheEntry($"rates:{number}:{i}", entry))], cancellationToken).ConfigureAwait(false);
        await delivery.AcknowledgeAsync(cancellationToken).ConfigureAwait(false);
    }

    private static ActivationBatch[] Batches(SimulatorCase check, ModelFolder model, IReadOnlyList<EncodedSample> samples)
    {
        using var encoder = FrozenEncoder.Open(model, check.Boundary);
        return [.. samples.Chunk(MessageSamples).Take(Messages).Select(part => new ActivationBatch
        {
            RunId = "rates", ClientId = "client-1", ModelFingerprint = model.Fingerprint, Cut = check.Boundary, Width = encoder.Width, WireType = WireType.Float16,
            Lengths = [.. part.Select(sample => sample.Tokens.Length)], SampleIds = [.. part.Select(sample => sample.Id)],
            Labels = [.. part.SelectMany(sample => sample.Labels)], LabelsPerToken = false, HiddenStates = Encode(encoder, part),
        })];
    }

    private static byte[] Encode(FrozenEncoder encoder, EncodedSample[] part)
    {
        using var layout = new SequenceLayout(Array.ConvertAll(part, sample => sample.Tokens.Length));
        using var hidden = encoder.Encode([.. part.SelectMany(sample => sample.Tokens)], layout);
        return HiddenStateCodec.Encode(hidden, WireType.Float16).States;
    }

    private static TrainingSample[] Prepare(FrozenEncoder encoder, EncodedSample[] step, WireType type) => Array.ConvertAll(step, sample => new TrainingSample(
        sample.Id, encoder.Cut, HiddenStateCodec.Decode(Encode(encoder, [sample]), [], sample.Tokens.Length, encoder.Width, type), sample.Labels));

    private static SampleSize Size(EncodedSample sample) => new(sample.Tokens.Length, 1);
}
