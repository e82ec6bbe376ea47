using SplitFrozen.ActivationCache;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A ledger in memory.</summary>
internal sealed class MemoryLedger : IRunLedger
{
    private readonly Lock _gate = new();
    private readonly HashSet<long> _ingested = [];
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

    public Task DeleteAsync(string runId, CancellationToken cancellationToken) => Task.CompletedTask;
}
