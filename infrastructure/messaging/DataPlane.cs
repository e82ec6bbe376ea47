using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging;

/// <summary>What became of a published activation batch.</summary>
public enum PublishOutcome
{
    /// <summary>The queue has it; it survives the publisher.</summary>
    Confirmed,

    /// <summary>The queue is at its byte limit: back off and publish the same message again.</summary>
    QueueFull,
}

/// <summary>The device's end of the wire: publishes activation batches to its client's queue.</summary>
public interface IActivationPublisher
{
    /// <summary>Publishes one encoded batch and waits for the confirmation.</summary>
    /// <param name="runId">The run.</param>
    /// <param name="clientId">The client whose queue takes it.</param>
    /// <param name="body">The safetensors body; untouched until the task completes.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    Task<PublishOutcome> PublishAsync(string runId, string clientId, ReadOnlyMemory<byte> body, CancellationToken cancellationToken);
}

/// <summary>One activation message at the coordinator. It stays on the queue until it is acknowledged or rejected.</summary>
public interface IActivationDelivery
{
    /// <summary>The client whose queue it came from, as the transport vouches for it.</summary>
    string ClientId { get; }

    /// <summary>The body; valid until the delivery is settled.</summary>
    ReadOnlyMemory<byte> Body { get; }

    /// <summary>Where it came from, for its span.</summary>
    MessageTrace Trace { get; }

    /// <summary>Takes the message off the queue: its samples are in the cache and the ledger.</summary>
    ValueTask AcknowledgeAsync(CancellationToken cancellationToken);

    /// <summary>Moves the message to the dead letters with a reason.</summary>
    ValueTask RejectAsync(string reason, CancellationToken cancellationToken);
}

/// <summary>The coordinator's end of the wire: one subscription per client, so that it chooses whom to serve next.</summary>
public interface IActivationSource
{
    /// <summary>Opens a client's queue. At most <paramref name="prefetch"/> messages are in the coordinator's hands at once.</summary>
    Task<IActivationSubscription> SubscribeAsync(string runId, string clientId, int prefetch, CancellationToken cancellationToken);
}

/// <summary>The open queue of one client.</summary>
public interface IActivationSubscription : IAsyncDisposable
{
    /// <summary>The next delivery if one is there; never waits.</summary>
    bool TryReceive(out IActivationDelivery? delivery);

    /// <summary>Completes when a delivery may be there; false when the queue is gone.</summary>
    ValueTask<bool> WaitAsync(CancellationToken cancellationToken);
}

/// <summary>The coordinator's way to the trainer.</summary>
public interface IStepPublisher
{
    /// <summary>Publishes a step message durably; waits while the trainer is too far behind.</summary>
    Task PublishAsync(StepMessage step, CancellationToken cancellationToken);
}

/// <summary>Ends what the data plane keeps for a run.</summary>
public interface IRunQueues
{
    /// <summary>Deletes the queues of a run that has ended, with all that is in them.</summary>
    Task DeleteRunAsync(string runId, IReadOnlyCollection<string> clientIds, CancellationToken cancellationToken);
}

/// <summary>One step message at the trainer. It stays on the queue until its update is applied and durable.</summary>
public interface IStepDelivery
{
    /// <summary>The message.</summary>
    StepMessage Step { get; }

    /// <summary>Where it came from, for its span.</summary>
    MessageTrace Trace { get; }

    /// <summary>Takes it off the queue.</summary>
    ValueTask AcknowledgeAsync(CancellationToken cancellationToken);
}

/// <summary>The trainer's end of the step queue of one run, in order of sequence.</summary>
public interface IStepSource
{
    /// <summary>Receives until cancelled.</summary>
    IAsyncEnumerable<IStepDelivery> ReceiveAsync(string runId, CancellationToken cancellationToken);
}
