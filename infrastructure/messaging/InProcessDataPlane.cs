using System.Collections.Concurrent;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging;

/// <summary>
/// The data plane within one process, with a broker's meaning: a queue per run and client that is bounded in bytes and
/// answers <see cref="PublishOutcome.QueueFull"/>, deliveries that come again until they are settled, dead letters, and a
/// step queue per run whose publisher waits. What it holds ends with the process. Thread-safe.
/// </summary>
public sealed class InProcessDataPlane(InProcessDataPlaneOptions options) : IActivationPublisher, IActivationSource, IStepPublisher, IStepSource, IRunQueues, IDeadLetters
{
    private readonly ConcurrentDictionary<(string RunId, string ClientId), ActivationQueue> _clients = new();
    private readonly ConcurrentDictionary<string, StepQueue> _steps = new();
    private readonly DeadLetterBox _deadLetters = new(options.MaximumDeadLetters, options.MaximumDeadLetterBytes);

    /// <summary>A data plane with the default bounds.</summary>
    public InProcessDataPlane()
        : this(new InProcessDataPlaneOptions())
    {
    }

    /// <summary>The newest refused messages, oldest first.</summary>
    public IReadOnlyList<DeadLetter> DeadLetters => _deadLetters.ToArray();

    /// <summary>Number of messages refused so far, those included that are no longer kept.</summary>
    public long DeadLetterCount => _deadLetters.Total;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The body is larger than the whole queue.</exception>
    public Task<PublishOutcome> PublishAsync(string runId, string clientId, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return Task.FromResult(Client(runId, clientId).Publish(body));
    }

    /// <inheritdoc/>
    public Task<IActivationSubscription> SubscribeAsync(string runId, string clientId, int prefetch, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(prefetch);
        cancellationToken.ThrowIfCancellationRequested();
        return Task.FromResult<IActivationSubscription>(Client(runId, clientId).Subscribe(prefetch));
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The run was deleted while the publisher waited.</exception>
    public Task PublishAsync(StepMessage step, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(step);
        return Steps(step.RunId).PublishAsync(step, cancellationToken);
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<IStepDelivery> ReceiveAsync(string runId, CancellationToken cancellationToken) =>
        Steps(runId).ReceiveAsync(cancellationToken);

    /// <inheritdoc/>
    public Task DeleteRunAsync(string runId, IReadOnlyCollection<string> clientIds, CancellationToken cancellationToken)
    {
        DeleteRun(runId);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<DeadLetterSummary>> NewestAsync(int maximum, CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<DeadLetterSummary>>([.. _deadLetters.ToArray().Reverse().Take(maximum).Select(letter => letter.Summary)]);

    /// <inheritdoc/>
    public Task<long> PurgeAsync(CancellationToken cancellationToken) => Task.FromResult<long>(_deadLetters.Clear());

    /// <summary>Deletes the queues of a run with all that is in them: its subscriptions and receivers end.</summary>
    public void DeleteRun(string runId)
    {
        foreach (var key in _clients.Keys.Where(key => key.RunId == runId))
        {
            if (_clients.TryRemove(key, out var queue))
            {
                queue.Delete();
            }
        }

        if (_steps.TryRemove(runId, out var steps))
        {
            steps.Delete();
        }
    }

    private ActivationQueue Client(string runId, string clientId) =>
        _clients.GetOrAdd((runId, clientId), static (key, plane) => plane.NewQueue(key.RunId, key.ClientId), this);

    private StepQueue Steps(string runId) =>
        _steps.GetOrAdd(runId, static (id, maximum) => new StepQueue(id, maximum), options.MaximumWaitingSteps);

    private ActivationQueue NewQueue(string runId, string clientId) => new(runId, clientId, options.MaximumQueueBytes, _deadLetters);
}
