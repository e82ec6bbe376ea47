using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Models;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Tasks;
using SplitFrozen.Trainer.Stages;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.Pipelining;

namespace SplitFrozen.Trainer;

/// <summary>
/// The single writer of a run: takes steps in sequence, each once, updates the adapter, evaluates, and writes checkpoints.
/// A step message is acknowledged only after a checkpoint that covers it is on the disk. Fetching and decoding of the next
/// steps overlaps with computing.
/// </summary>
/// <param name="options">The run.</param>
/// <param name="model">Its base model.</param>
/// <param name="control">Control plane.</param>
/// <param name="source">Step messages.</param>
/// <param name="cache">Activations.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
/// <param name="stages">Opens the stages of the trained blocks; null for as many in this process as the spec asks for.</param>
public sealed class TrainerService(
    TrainerOptions options,
    ModelFolder model,
    IControlPlane control,
    IStepSource source,
    IActivationCache cache,
    TimeProvider time,
    ILogger<TrainerService> logger,
    Func<CancellationToken, Task<StageSet>>? stages = null)
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

    /// <summary>Trains from the checkpoint; false when that has to begin anew: the steps that came did not fit what is trained, or a stage was lost.</summary>
    private async Task<bool> TrainAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(options.Folder);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var ends = SubscribeToEnds(ended);
        var engine = new FineTuningEngine(
            options, stages ?? (token => StageSets.OpenLocalAsync(options, model, time, token)), notice => logger.LogWarning("{Notice}", notice));
        await using (engine.ConfigureAwait(false))
        {
            try
            {
                if (await UntilEndedAsync(engine.OpenAsync, ended.Task, cancellationToken).ConfigureAwait(false) is not (true, var position))
                {
                    return true;
                }

                await TrainFromAsync(position, engine, ended.Task, cancellationToken).ConfigureAwait(false);
                return true;
            }
            catch (Exception exception) when (exception is OutdatedStepException or StageLostException)
            {
                logger.LogWarning("Run {Run}: {Reason}", options.RunId, exception.Message);
                return false;
            }
        }
    }

    private async Task TrainFromAsync(TrainingPosition? position, FineTuningEngine engine, Task ended, CancellationToken cancellationToken)
    {
        var instance = Guid.NewGuid().ToString("N");
        var start = position?.NextSequence ?? 0;
        using var log = new StepLog(Path.Combine(options.Folder, "steps.jsonl"), start);
        using var inbox = new StepInbox(start, options.UnacknowledgedSteps);
        using var prefetch = new StepPrefetch(options, Limits(), inbox, cache, control, logger);
        var loop = new TrainingLoop(options, engine, prefetch, inbox, log, control, time, position);
        using var coordinators = control.Subscribe<CoordinatorReady>(async (message, _) =>
        {
            if (message.RunId == options.RunId)
            {
                await AnnounceAsync(loop, instance).ConfigureAwait(false);
            }
        });
        await AnnounceAsync(loop, instance).ConfigureAwait(false);
        await ServiceTasks.RunAsync(
            async token =>
            {
                var (finished, _) = await UntilEndedAsync(
                    async stop =>
                    {
                        await loop.RunAsync(stop).ConfigureAwait(false);
                        return true;
                    },
                    ended,
                    token).ConfigureAwait(false);
                _finished |= finished;
            },
            [prefetch.RunAsync, token => ReceiveAsync(inbox, instance, token)],
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Works until it is done, or the run has ended elsewhere; then the work is cancelled, and the answer is false.</summary>
    private async Task<(bool Done, T? Result)> UntilEndedAsync<T>(Func<CancellationToken, Task<T>> work, Task ended, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var working = work(stop.Token);
        if (await Task.WhenAny(working, ended).ConfigureAwait(false) == ended)
        {
            await stop.CancelAsync().ConfigureAwait(false);
        }

        try
        {
            return (true, await working.ConfigureAwait(false));
        }
        catch (OperationCanceledException) when (ended.IsCompleted && !cancellationToken.IsCancellationRequested)
        {
            logger.LogInformation("Run {Run} has ended; the trainer stops", options.RunId);
            return (false, default);
        }
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

    private Subscriptions SubscribeToEnds(TaskCompletionSource ended)
    {
        var subscriptions = new Subscriptions();
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
