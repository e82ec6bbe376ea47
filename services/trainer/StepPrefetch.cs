using System.Diagnostics;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Trainer;

/// <summary>
/// Fetches and decodes the next steps while the one before is computed, in order, bounded in steps and bytes. Where
/// entries are gone from the cache it reports them and waits for the step to be repeated.
/// </summary>
internal sealed class StepPrefetch(
    TrainerOptions options, WireLimits limits, StepInbox inbox, IActivationCache cache, IControlPlane control, ILogger logger) : IDisposable
{
    private const int StepsAhead = 4;

    private readonly ByteBudget _budget = new(options.PrefetchBytes);
    private readonly ComputeThread _decoder = new("trainer-decode", 1);
    private readonly Channel<PreparedStep> _ready = Channel.CreateBounded<PreparedStep>(
        new BoundedChannelOptions(StepsAhead) { SingleReader = true, SingleWriter = true });

    /// <summary>Prepares steps until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await PrepareAsync(await inbox.TakeAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The next prepared step; give it back by <see cref="Release"/>.</summary>
    public ValueTask<PreparedStep> TakeAsync(CancellationToken cancellationToken) => _ready.Reader.ReadAsync(cancellationToken);

    /// <summary>Frees a step.</summary>
    public void Release(PreparedStep step)
    {
        step.Dispose();
        _budget.Return(step.Bytes);
    }

    /// <summary>Frees what was prepared and not taken; nothing runs any more.</summary>
    public void Dispose()
    {
        while (_ready.Reader.TryRead(out var step))
        {
            step.Dispose();
        }

        _decoder.Dispose();
    }

    private async Task PrepareAsync(IStepDelivery delivery, CancellationToken cancellationToken)
    {
        var step = delivery.Step;
        var activity = TrainerTelemetry.StartProcess(delivery);
        var fetching = TrainerTelemetry.StartPart(SpanNames.Fetch);
        var entries = await FetchAsync(step, cancellationToken).ConfigureAwait(false);
        if (entries is null)
        {
            fetching?.Dispose();
            activity?.Dispose();
            inbox.Return();
            return;
        }

        var bytes = entries.Sum(entry => (long)entry.Tokens * entry.Width * sizeof(float));
        await _budget.TakeAsync(bytes, cancellationToken).ConfigureAwait(false);
        var samples = await _decoder.RunAsync(() => Decode(step, entries), cancellationToken).ConfigureAwait(false);
        fetching?.Dispose();
        var prepared = new PreparedStep(step, samples, bytes, activity);
        try
        {
            await _ready.Writer.WriteAsync(prepared, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            prepared.Dispose();
            throw;
        }
    }

    /// <summary>The decoded entries of a step; null when some are gone, which is reported.</summary>
    private async Task<ActivationBatch[]?> FetchAsync(StepMessage step, CancellationToken cancellationToken)
    {
        var found = await cache.FetchAsync(Array.ConvertAll(step.Samples, sample => sample.CacheKey), cancellationToken).ConfigureAwait(false);
        var entries = new ActivationBatch[found.Length];
        var missing = new List<SampleReference>();
        for (var i = 0; i < found.Length; i++)
        {
            var reference = step.Samples[i];
            if (found[i] is not { } bytes)
            {
                missing.Add(reference);
            }
            else if (ActivationBatchCodec.TryDecode(bytes, limits with { Cut = reference.Cut }, out var batch, out var reason) && batch.Lengths.Length == 1)
            {
                entries[i] = batch;
            }
            else
            {
                logger.LogWarning("The cache entry of sample {Sample} is damaged and is asked again: {Reason}", reference.Id, reason ?? "it holds several samples");
                missing.Add(reference);
            }
        }

        if (missing.Count == 0)
        {
            return entries;
        }

        Activity.Current?.SetTag(TelemetryNames.Missing, missing.Count);
        logger.LogInformation("Step message {Sequence} waits for {Count} samples that are gone from the cache", step.Sequence, missing.Count);
        await control.PublishAsync(new ActivationsMissing(step.RunId, step.Sequence, [.. missing]), cancellationToken).ConfigureAwait(false);
        return null;
    }

    private static TrainingSample[] Decode(StepMessage step, ActivationBatch[] entries)
    {
        var samples = new TrainingSample[entries.Length];
        for (var i = 0; i < entries.Length; i++)
        {
            var entry = entries[i];
            var hidden = HiddenStateCodec.Decode(entry.HiddenStates.Span, entry.Scales.Span, entry.Tokens, entry.Width, entry.WireType);
            samples[i] = new TrainingSample(step.Samples[i].Id, step.Samples[i].Cut, hidden, entry.Labels);
        }

        return samples;
    }
}
