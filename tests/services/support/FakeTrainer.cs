using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A trainer without a model: checks the sequence, fetches from the cache, reports what is gone, and keeps what it applied.</summary>
internal sealed class FakeTrainer(string runId, IControlPlane control, IStepSource source, IActivationCache cache, string instance = "t1", long start = 0)
{
    public List<StepMessage> Applied { get; } = [];

    /// <summary>Applied in the epoch of the position at which it starts.</summary>
    public (int Epoch, SampleId[] Samples) Before { get; init; } = (0, []);

    public long Next { get; private set; } = start;

    /// <summary>Called before a step is fetched.</summary>
    public Func<StepMessage, Task> BeforeStep { get; set; } = _ => Task.CompletedTask;

    public long StopAt { get; set; } = long.MaxValue;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var ready = control.Subscribe<CoordinatorReady>(async (_, _) => await AnnounceAsync());
        await AnnounceAsync();
        var waiting = new SortedDictionary<long, StepMessage>();
        await foreach (var delivery in source.ReceiveAsync(runId, cancellationToken))
        {
            if (delivery.Step.Instance != instance)
            {
                await delivery.AcknowledgeAsync(cancellationToken);
                continue;
            }

            waiting[delivery.Step.Sequence] = delivery.Step;
            await delivery.AcknowledgeAsync(cancellationToken);
            while (waiting.Remove(Next, out var step))
            {
                if (Next == StopAt)
                {
                    return;
                }

                if (!await HandleAsync(step, cancellationToken))
                {
                    break;
                }

                Applied.Add(step);
                if (++Next == step.SequenceCount)
                {
                    await control.PublishAsync(new RunFinished(runId, step.TotalSteps), cancellationToken);
                    return;
                }
            }
        }
    }

    private async Task AnnounceAsync() =>
        await control.PublishAsync(new TrainerReady(runId, instance, Next, Before.Epoch, Before.Samples), CancellationToken.None);

    private async Task<bool> HandleAsync(StepMessage step, CancellationToken cancellationToken)
    {
        await BeforeStep(step);
        var entries = await cache.FetchAsync([.. step.Samples.Select(sample => sample.CacheKey)], cancellationToken);
        var gone = step.Samples.Where((_, i) => entries[i] is null).ToArray();
        if (gone.Length > 0)
        {
            await control.PublishAsync(new ActivationsMissing(runId, step.Sequence, gone), cancellationToken);
            return false;
        }

        if (step.Kind == StepKind.Train)
        {
            var ids = step.Samples.Select(sample => sample.Id).ToArray();
            await control.PublishAsync(
                new StepApplied(runId, step.Sequence, step.Epoch, step.Step, 1, 1, 1, ids, 1, TimeSpan.Zero, TimeSpan.Zero), cancellationToken);
        }
        else
        {
            await control.PublishAsync(new EvaluationPartFinished(runId, step.Sequence, step.Epoch, step.Part, step.Parts, step.Samples.Length), cancellationToken);
        }

        return true;
    }
}
