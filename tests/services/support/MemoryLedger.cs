using SplitFrozen.ActivationCache;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A ledger in memory.</summary>
internal sealed class MemoryLedger : IRunLedger
{
    private readonly Lock _gate = new();
    private readonly HashSet<long> _ingested = [];
    private readonly HashSet<long> _failed = [];
    private readonly Dictionary<string, byte[]> _clients = [];
    private readonly SortedDictionary<long, byte[]> _steps = [];

    public IReadOnlyList<byte[]> Steps
    {
        get
        {
            lock (_gate)
            {
                return [.. _steps.Values];
            }
        }
    }

    public Task RecordClientsAsync(string runId, IReadOnlyDictionary<string, byte[]> registrations, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            foreach (var (client, registration) in registrations)
            {
                _clients[client] = registration;
            }

            return Task.CompletedTask;
        }
    }

    public Task<IReadOnlyDictionary<string, byte[]>> ClientsAsync(string runId, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            return Task.FromResult<IReadOnlyDictionary<string, byte[]>>(_clients.ToDictionary());
        }
    }

    public Task RecordFailedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _failed.UnionWith(sampleIds);
            return Task.CompletedTask;
        }
    }

    public Task<IReadOnlySet<long>> FailedAsync(string runId, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            return Task.FromResult<IReadOnlySet<long>>(_failed.ToHashSet());
        }
    }

    public Task<int> RecordIngestedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            return Task.FromResult(sampleIds.Count(_ingested.Add));
        }
    }

    public Task<IReadOnlySet<long>> IngestedAsync(string runId, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            return Task.FromResult<IReadOnlySet<long>>(_ingested.ToHashSet());
        }
    }

    public Task RecordStepAsync(string runId, long sequence, byte[] stepMessage, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _steps.TryAdd(sequence, stepMessage);
            return Task.CompletedTask;
        }
    }

    public Task<IReadOnlyList<byte[]>> StepsFromAsync(string runId, long sequence, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            return Task.FromResult<IReadOnlyList<byte[]>>([.. _steps.Where(step => step.Key >= sequence).Select(step => step.Value)]);
        }
    }

    public Task ForgetStepsAsync(string runId, long sequence, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            foreach (var recorded in _steps.Keys.Where(recorded => recorded >= sequence).ToArray())
            {
                _steps.Remove(recorded);
            }

            return Task.CompletedTask;
        }
    }

    public Task DeleteAsync(string runId, CancellationToken cancellationToken) => Task.CompletedTask;
}
