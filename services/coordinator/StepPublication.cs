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
    private readonly Channel<StepMessage> _waiting = Channel.CreateUnbounded<StepMessage>(new UnboundedChannelOptions { SingleReader = true });

    /// <summary>Adds a message; how many wait is bounded by <see cref="CoordinatorOptions.StepsAhead"/> and the steps to repeat.</summary>
    public void Add(StepMessage step) => _waiting.Writer.TryWrite(step);

    /// <summary>Publishes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await foreach (var step in _waiting.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            var record = new StepRecord(step.Sequence, [.. step.Samples.Select(sample => sample.Id)]);
            await ledger.RecordStepAsync(step.RunId, step.Sequence, record.ToBytes(), cancellationToken).ConfigureAwait(false);
            await publisher.PublishAsync(step, cancellationToken).ConfigureAwait(false);
        }
    }
}
