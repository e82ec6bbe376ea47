using Polly;
using SplitFrozen.ActivationCache;

namespace SplitFrozen.Transport;

/// <summary>
/// A cache and a ledger whose server may be away for a while, for example because it restarts: every operation is repeated until
/// it is back, within the pipeline's patience. All of them may be repeated without harm.
/// </summary>
internal sealed class ResilientCache(IActivationCache cache, IRunLedger ledger, ResiliencePipeline pipeline) : IActivationCache, IRunLedger
{
    /// <inheritdoc/>
    public long MaximumBytes => cache.MaximumBytes;

    /// <inheritdoc/>
    public Task StoreAsync(IReadOnlyList<CacheEntry> entries, CancellationToken cancellationToken) =>
        ExecuteAsync(token => cache.StoreAsync(entries, token), cancellationToken);

    /// <inheritdoc/>
    public Task<byte[]?[]> FetchAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken) =>
        ExecuteAsync(token => cache.FetchAsync(keys, token), cancellationToken);

    /// <inheritdoc/>
    public Task<bool[]> ContainsAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken) =>
        ExecuteAsync(token => cache.ContainsAsync(keys, token), cancellationToken);

    /// <inheritdoc/>
    public Task RecordClientsAsync(string runId, IReadOnlyDictionary<string, byte[]> registrations, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.RecordClientsAsync(runId, registrations, token), cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyDictionary<string, byte[]>> ClientsAsync(string runId, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.ClientsAsync(runId, token), cancellationToken);

    /// <inheritdoc/>
    public Task RecordFailedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.RecordFailedAsync(runId, sampleIds, token), cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlySet<long>> FailedAsync(string runId, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.FailedAsync(runId, token), cancellationToken);

    /// <inheritdoc/>
    public Task<int> RecordIngestedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.RecordIngestedAsync(runId, sampleIds, token), cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlySet<long>> IngestedAsync(string runId, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.IngestedAsync(runId, token), cancellationToken);

    /// <inheritdoc/>
    public Task RecordStepAsync(string runId, long sequence, byte[] stepMessage, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.RecordStepAsync(runId, sequence, stepMessage, token), cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<byte[]>> StepsFromAsync(string runId, long sequence, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.StepsFromAsync(runId, sequence, token), cancellationToken);

    /// <inheritdoc/>
    public Task ForgetStepsAsync(string runId, long sequence, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.ForgetStepsAsync(runId, sequence, token), cancellationToken);

    /// <inheritdoc/>
    public Task DeleteAsync(string runId, CancellationToken cancellationToken) =>
        ExecuteAsync(token => ledger.DeleteAsync(runId, token), cancellationToken);

    private Task<TResult> ExecuteAsync<TResult>(Func<CancellationToken, Task<TResult>> operation, CancellationToken cancellationToken) =>
        pipeline.ExecuteAsync(async token => await operation(token).ConfigureAwait(false), cancellationToken).AsTask();

    private Task ExecuteAsync(Func<CancellationToken, Task> operation, CancellationToken cancellationToken) =>
        pipeline.ExecuteAsync(async token => await operation(token).ConfigureAwait(false), cancellationToken).AsTask();
}
