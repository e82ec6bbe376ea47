using System.Globalization;
using StackExchange.Redis;

namespace SplitFrozen.ActivationCache;

/// <summary>
/// The account of runs in a Redis-protocol server (Redis 7 or Garnet; only commands that both have). It is as durable as
/// the server: an embedded one keeps all up to its last save. Thread-safe.
/// </summary>
public sealed class RedisRunLedger(CacheConnection connection) : IRunLedger
{
    private const int StepsPerFetch = 64;

    private readonly IDatabase _state = connection.State.GetDatabase();

    /// <inheritdoc/>
    public async Task<int> RecordIngestedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(sampleIds);
        return sampleIds.Count == 0
            ? 0
            : (int)await _state.SetAddAsync(Ingested(runId), [.. sampleIds.Select(id => (RedisValue)id)]).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlySet<long>> IngestedAsync(string runId, CancellationToken cancellationToken)
    {
        var members = await _state.SetMembersAsync(Ingested(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
        return members.Select(member => (long)member).ToHashSet();
    }

    /// <inheritdoc/>
    public async Task RecordStepAsync(string runId, long sequence, byte[] stepMessage, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(stepMessage);
        await _state.StringSetAsync(Step(runId, sequence), stepMessage, when: When.NotExists).WaitAsync(cancellationToken).ConfigureAwait(false);
        await _state.SetAddAsync(Steps(runId), sequence).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<byte[]>> StepsFromAsync(string runId, long sequence, CancellationToken cancellationToken)
    {
        var sequences = await SequencesAsync(runId, cancellationToken).ConfigureAwait(false);
        var messages = new List<byte[]>();
        foreach (var chunk in sequences.Where(recorded => recorded >= sequence).Order().Chunk(StepsPerFetch))
        {
            RedisKey[] keys = [.. chunk.Select(recorded => Step(runId, recorded))];
            var values = await _state.StringGetAsync(keys).WaitAsync(cancellationToken).ConfigureAwait(false);
            messages.AddRange(values.Where(value => !value.IsNull).Select(value => (byte[])value!));
        }

        return messages;
    }

    /// <inheritdoc/>
    public async Task DeleteAsync(string runId, CancellationToken cancellationToken)
    {
        var sequences = await SequencesAsync(runId, cancellationToken).ConfigureAwait(false);
        foreach (var chunk in sequences.Chunk(StepsPerFetch))
        {
            await _state.KeyDeleteAsync([.. chunk.Select(recorded => Step(runId, recorded))]).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        await _state.KeyDeleteAsync([Steps(runId), Ingested(runId)]).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task<long[]> SequencesAsync(string runId, CancellationToken cancellationToken)
    {
        var members = await _state.SetMembersAsync(Steps(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
        return [.. members.Select(member => (long)member)];
    }

    private static RedisKey Ingested(string runId) => $"run:{runId}:ingested";

    private static RedisKey Steps(string runId) => $"run:{runId}:steps";

    private static RedisKey Step(string runId, long sequence) => $"run:{runId}:step:{sequence.ToString(CultureInfo.InvariantCulture)}";
}
