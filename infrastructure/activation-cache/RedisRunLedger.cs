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
    public async Task RecordClientsAsync(string runId, IReadOnlyDictionary<string, byte[]> registrations, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(registrations);
        await _state.HashSetAsync(Clients(runId), [.. registrations.Select(client => new HashEntry(client.Key, client.Value))])
            .WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyDictionary<string, byte[]>> ClientsAsync(string runId, CancellationToken cancellationToken)
    {
        var entries = await _state.HashGetAllAsync(Clients(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
        return entries.ToDictionary(entry => entry.Name.ToString(), entry => (byte[])entry.Value!, StringComparer.Ordinal);
    }

    /// <inheritdoc/>
    public Task RecordFailedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken) =>
        AddAsync(Failed(runId), sampleIds, cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlySet<long>> FailedAsync(string runId, CancellationToken cancellationToken) => MembersAsync(Failed(runId), cancellationToken);

    /// <inheritdoc/>
    public Task<int> RecordIngestedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken) =>
        AddAsync(Ingested(runId), sampleIds, cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlySet<long>> IngestedAsync(string runId, CancellationToken cancellationToken) => MembersAsync(Ingested(runId), cancellationToken);

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
        var sequences = await MembersAsync(Steps(runId), cancellationToken).ConfigureAwait(false);
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
    public async Task ForgetStepsAsync(string runId, long sequence, CancellationToken cancellationToken)
    {
        var sequences = await MembersAsync(Steps(runId), cancellationToken).ConfigureAwait(false);
        foreach (var chunk in sequences.Where(recorded => recorded >= sequence).Chunk(StepsPerFetch))
        {
            await _state.KeyDeleteAsync([.. chunk.Select(recorded => Step(runId, recorded))]).WaitAsync(cancellationToken).ConfigureAwait(false);
            await _state.SetRemoveAsync(Steps(runId), [.. chunk.Select(recorded => (RedisValue)recorded)]).WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async Task DeleteAsync(string runId, CancellationToken cancellationToken)
    {
        await ForgetStepsAsync(runId, 0, cancellationToken).ConfigureAwait(false);
        await _state.KeyDeleteAsync([Steps(runId), Ingested(runId), Failed(runId), Clients(runId)]).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Adds numbers to a set; returns how many were new.</summary>
    private async Task<int> AddAsync(RedisKey set, IReadOnlyCollection<long> numbers, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(numbers);
        return numbers.Count == 0
            ? 0
            : (int)await _state.SetAddAsync(set, [.. numbers.Select(number => (RedisValue)number)]).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task<IReadOnlySet<long>> MembersAsync(RedisKey set, CancellationToken cancellationToken)
    {
        var members = await _state.SetMembersAsync(set).WaitAsync(cancellationToken).ConfigureAwait(false);
        return members.Select(member => (long)member).ToHashSet();
    }

    private static RedisKey Clients(string runId) => $"run:{runId}:clients";

    private static RedisKey Failed(string runId) => $"run:{runId}:failed";

    private static RedisKey Ingested(string runId) => $"run:{runId}:ingested";

    private static RedisKey Steps(string runId) => $"run:{runId}:steps";

    private static RedisKey Step(string runId, long sequence) => $"run:{runId}:step:{sequence.ToString(CultureInfo.InvariantCulture)}";
}
