using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Models;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Tasks;

namespace SplitFrozen.Trainer;

/// <summary>
/// The single writer of a run: takes steps in sequence, each once, updates the adapter, evaluates, and writes checkpoints.
/// A step message is acknowledged only after a checkpoint that covers it is on the disk. Fetching and decoding of the next
/// steps overlaps with computing.
/// </summary>
public sealed class TrainerService(
    TrainerOptions options,
    ModelFolder model,
    IControlPlane control,
    IStepSource source,
    IActivationCache cache,
    TimeProvider time,
    ILogger<TrainerService> logger)
{
    private volatile bool _finished;

    /// <summary>True once the last step message is handled and durable, here or before this trainer started.</summary>
    public bool Finished => _finished;

    /// <summary>
    /// Trains until the run has finished or failed elsewhere, or the caller cancels; then it returns. On cancellation the step
    /// in hand is finished and a checkpoint written first, and the same call later goes on from there. On a fault of its own
    /// it publishes <see cref="RunFailed"/> and throws.
    /// </summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (!await TrainAsync(cancellationToken).ConfigureAwait(false))
            {
                logger.LogInformation("Run {Run}: the trainer goes on from its checkpoint", options.RunId);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            logger.LogInformation("Run {Run}: the trainer stops", options.RunId);
        }
        catch (Exception exception)
        {
            await control.PublishAsync(new RunFailed(options.RunId, exception.Message), CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Trains from the checkpoint; false when the steps that came did not fit what is trained, and must be composed anew.</summary>
    private async Task<bool> TrainAsync(CancellationToken cancellationToken)
    {
        var instance = Guid.NewGuid().ToString("N");
        var outdated = false;
        Directory.CreateDirectory(options.Folder);
        using var engine = new FineTuningEngine(options, notice => logger.LogWarning("{Notice}", notice));
        var position = engine.ReadPosition();
        await engine.OpenAsync(model, cancellationToken).ConfigureAwait(false);
        var start = position?.NextSequence ?? 0;
        using var log = new StepLog(Path.Combine(options.Folder, "steps.jsonl"), start);
        using var inbox = new StepInbox(start, options.UnacknowledgedSteps);
        using var prefetch = new StepPrefetch(options, Limits(), inbox, cache, control, logger);
        var loop = new TrainingLoop(options, engine, prefetch, inbox, log, control, time, position);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var subscriptions = Subscribe(loop, instance, ended);
        await AnnounceAsync(loop, instance).ConfigureAwait(false);
        await ServiceTasks.RunAsync(
            async token =>
            {
                using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
                var training = loop.RunAsync(stop.Token);
                if (await Task.WhenAny(training, ended.Task).ConfigureAwait(false) == ended.Task)
                {
                    await stop.CancelAsync().ConfigureAwait(false);
                }

                try
                {
                    await training.ConfigureAwait(false);
                    _finished = true;
                }
                catch (OperationCanceledException) when (ended.Task.IsCompleted && !token.IsCancellationRequested)
                {
                    logger.LogInformation("Run {Run} has ended; the trainer stops", options.RunId);
                }
                catch (OutdatedStepException exception)
                {
                    logger.LogWarning("Run {Run}: {Reason}", options.RunId, exception.Message);
                    outdated = true;
                }
            },
            [prefetch.RunAsync, token => ReceiveAsync(inbox, instance, token)],
            cancellationToken).ConfigureAwait(false);
        return !outdated;
    }

    private async Task ReceiveAsync(StepInbox inbox, string instance, CancellationToken cancellationToken)
    {
        await foreach (var delivery in source.ReceiveAsync(options.RunId, cancellationToken).ConfigureAwait(false))
        {
            if (delivery.Step.Instance != instance)
            {
                await delivery.AcknowledgeAsync(cancellationToken).ConfigureAwait(false);
                continue;
            }

            var (done, opensGap) = inbox.Accept(delivery);
            if (done is not null)
            {
                await done.AcknowledgeAsync(cancellationToken).ConfigureAwait(false);
            }

            if (opensGap)
            {
                await control.PublishAsync(new StepsRequested(options.RunId, inbox.Next), cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task AnnounceAsync(TrainingLoop loop, string instance)
    {
        var position = loop.Announced;
        await control.PublishAsync(
            new TrainerReady(options.RunId, instance, position.NextSequence, position.Epoch, [.. position.AppliedSamples.Select(id => new SampleId(id))]),
            CancellationToken.None).ConfigureAwait(false);
    }

    private WireLimits Limits() => new()
    {
        MaximumBodyBytes = int.MaxValue,
        ModelFingerprint = model.Fingerprint,
        Width = model.Config.Width,
        WireType = options.Spec.Device.WireType,
        LabelsPerToken = options.Task.Kind == TaskKind.LanguageModel,
        LabelLimit = options.Task.Kind == TaskKind.LanguageModel ? model.Config.VocabularySize : options.Task.Classes,
    };

    private Subscriptions Subscribe(TrainingLoop loop, string instance, TaskCompletionSource ended)
    {
        var subscriptions = new Subscriptions();
        subscriptions.Add(control.Subscribe<CoordinatorReady>(async (message, _) =>
        {
            if (message.RunId == options.RunId)
            {
                await AnnounceAsync(loop, instance).ConfigureAwait(false);
            }
        }));
        subscriptions.Add(control.Subscribe<RunFailed>((message, _) => End(message, finished: false)));
        subscriptions.Add(control.Subscribe<RunFinished>((message, _) => End(message, finished: true)));
        return subscriptions;

        ValueTask End(IRunMessage message, bool finished)
        {
            if (message.RunId == options.RunId)
            {
                _finished |= finished;
                ended.TrySetResult();
            }

            return ValueTask.CompletedTask;
        }
    }
}
