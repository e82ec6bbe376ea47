using System.Diagnostics;
using System.Threading.Channels;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator;

/// <summary>
/// Publishes step messages apart from the coordinator's event loop, so that a slow trainer never keeps it from answering
/// what the trainer waits for. A composition is in the ledger before it is published.
/// </summary>
internal sealed class StepPublication(IStepPublisher publisher, IRunLedger ledger)
{
    private readonly Channel<(StepMessage Step, Activity? Activity)> _waiting = Channel.CreateUnbounded<(StepMessage Step, Activity? Activity)>(new UnboundedChannelOptions { SingleReader = true });

    /// <summary>Adds a message; how many wait is bounded by <see cref="CoordinatorOptions.StepsAhead"/> and the steps to repeat.</summary>
    /// <param name="step">The message.</param>
    /// <param name="activity">Its span, which ends when the broker has the message; null for none.</param>
    public void Add(StepMessage step, Activity? activity) => _waiting.Writer.TryWrite((step, activity));

    /// <summary>Publishes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await foreach (var (step, activity) in _waiting.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            using (activity)
            {
                Activity.Current = activity;
                var record = new StepRecord(step.Sequence, [.. step.Samples.Select(sample => sample.Id)]);
                await ledger.RecordStepAsync(step.RunId, step.Sequence, record.ToBytes(), cancellationToken).ConfigureAwait(false);
                await publisher.PublishAsync(step, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
