using System.Globalization;
using System.Text.Json;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using StackExchange.Redis;

namespace SplitFrozen.ActivationCache;

/// <summary>
/// Runs, their state and their events in a Redis-protocol server (Redis 7 or Garnet; only commands that both have). A status is changed
/// only from one that the caller names, so that two who change it at once cannot both succeed. Thread-safe.
/// </summary>
/// <param name="connection">Connections to the server; not owned.</param>
/// <param name="time">Clock of submission.</param>
/// <param name="maximumEvents">Events kept of a run, at least 20; beyond them the oldest leave, of whatever kind, a twentieth at a time.</param>
public sealed class RedisRunStore(CacheConnection connection, TimeProvider time, int maximumEvents = 200_000)
{
    private const string SpecField = "spec";
    private const string StatusField = "status";
    private const string ReasonField = "reason";
    private const string DeletingField = "deleting";
    private static readonly TimeSpan s_remembered = TimeSpan.FromDays(1);
    private static readonly DateTimeOffset s_epoch = new(2025, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly RedisKey Runs = "splitfrozen:runs";
    private static readonly RedisKey Open = "splitfrozen:runs:open";
    private static readonly RedisKey Starts = "splitfrozen:starts";

    private readonly IDatabase _state = connection.State.GetDatabase();

    /// <summary>Adds a pending run.</summary>
    /// <exception cref="CacheException">There is one of that id.</exception>
    public async Task CreateAsync(string runId, RunSpec spec, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var now = time.GetUtcNow();
        var run = new StoredRun(runId, spec, RunStatus.Pending, now, now, 0, 0, 0, null, null, [], IsOpen: true);
        if (!await AddAsync(run, firstEvent: 0, cancellationToken).ConfigureAwait(false))
        {
            throw new CacheException($"There is a run '{runId}' already.");
        }
    }

    /// <summary>Adds an open run again that the server has lost; false when it has not lost it.</summary>
    /// <param name="run">The run as it was last read.</param>
    /// <param name="firstEvent">Number of the next event, greater than any that was ever given: who follows the events misses none that way.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    public Task<bool> RestoreAsync(StoredRun run, long firstEvent, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(run);
        return AddAsync(run, firstEvent, cancellationToken);
    }

    /// <summary>A run; null where there is none of that id, or the server has lost it.</summary>
    public async Task<StoredRun?> FindAsync(string runId, CancellationToken cancellationToken)
    {
        var open = _state.SetContainsAsync(Open, runId);
        var fields = await _state.HashGetAllAsync(Record(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);

        // A record without a spec holds only what was written to it since it was lost.
        return Array.Exists(fields, field => field.Name == SpecField) ? Read(runId, fields, await open.WaitAsync(cancellationToken).ConfigureAwait(false)) : null;
    }

    /// <summary>All runs, the newest first.</summary>
    public async Task<IReadOnlyList<StoredRun>> ListAsync(CancellationToken cancellationToken) => await FindAllAsync(
        await _state.SortedSetRangeByRankAsync(Runs, order: Order.Descending).WaitAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);

    /// <summary>The runs that are in work or whose end is still to be carried out.</summary>
    public async Task<IReadOnlyList<StoredRun>> ListOpenAsync(CancellationToken cancellationToken) => await FindAllAsync(
        await _state.SetMembersAsync(Open).WaitAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);

    /// <summary>Changes the status; false when the run is not, or no longer, in one of <paramref name="from"/>.</summary>
    public async Task<bool> TryChangeAsync(
        string runId, IReadOnlyCollection<RunStatus> from, RunStatus to, string? reason, CancellationToken cancellationToken)
    {
        while (true)
        {
            var current = await _state.HashGetAsync(Record(runId), StatusField).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (current.IsNull || !from.Contains(Enum.Parse<RunStatus>(current.ToString())))
            {
                return false;
            }

            var transaction = _state.CreateTransaction();
            transaction.AddCondition(Condition.HashEqual(Record(runId), StatusField, current));
            _ = transaction.HashSetAsync(Record(runId), StatusField, Text(to));
            _ = reason is null ? transaction.HashDeleteAsync(Record(runId), ReasonField) : transaction.HashSetAsync(Record(runId), ReasonField, reason);
            if (await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false))
            {
                return true;
            }
        }
    }

    /// <summary>Makes a cancelled or failed run pending again; false when it is not, or its end is still being carried out.</summary>
    public async Task<bool> TryResumeAsync(string runId, CancellationToken cancellationToken)
    {
        var current = await _state.HashGetAsync(Record(runId), StatusField).WaitAsync(cancellationToken).ConfigureAwait(false);
        if (current.IsNull || Enum.Parse<RunStatus>(current.ToString()) is not (RunStatus.Cancelled or RunStatus.Failed))
        {
            return false;
        }

        var transaction = _state.CreateTransaction();
        transaction.AddCondition(Condition.HashEqual(Record(runId), StatusField, current));
        transaction.AddCondition(Condition.SetNotContains(Open, runId));
        transaction.AddCondition(Condition.HashNotExists(Record(runId), DeletingField));
        _ = transaction.HashSetAsync(Record(runId), [new(StatusField, Text(RunStatus.Pending)), new("started", Text(time.GetUtcNow()))]);
        _ = transaction.HashDeleteAsync(Record(runId), ReasonField);
        _ = transaction.SetAddAsync(Open, runId);
        return await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The run's end has been carried out and recorded.</summary>
    public async Task CloseAsync(string runId, CancellationToken cancellationToken) =>
        await _state.SetRemoveAsync(Open, runId).WaitAsync(cancellationToken).ConfigureAwait(false);

    /// <summary>
    /// Begins to delete a run whose end is recorded: from now on it cannot be resumed. False when its end is not. May be begun again, until
    /// <see cref="DeleteAsync"/> has ended it.
    /// </summary>
    public async Task<bool> TryBeginDeletionAsync(string runId, CancellationToken cancellationToken)
    {
        var transaction = _state.CreateTransaction();
        transaction.AddCondition(Condition.HashExists(Record(runId), SpecField));
        transaction.AddCondition(Condition.SetNotContains(Open, runId));
        _ = transaction.HashSetAsync(Record(runId), DeletingField, 1);

        // Who knew the run as an open one must not take its absence for a loss and tell it again.
        _ = transaction.StringSetAsync(Deleted(runId), 1, s_remembered);
        return await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Deletes what the store has of a run: its record and its events.</summary>
    public async Task DeleteAsync(string runId, CancellationToken cancellationToken)
    {
        var transaction = _state.CreateTransaction();
        _ = transaction.SortedSetRemoveAsync(Runs, runId);
        _ = transaction.KeyDeleteAsync([Record(runId), Events(runId), FirstEvent(runId)]);
        await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Whether a run was deleted within the last day.</summary>
    public Task<bool> WasDeletedAsync(string runId, CancellationToken cancellationToken) => _state.KeyExistsAsync(Deleted(runId)).WaitAsync(cancellationToken);

    /// <summary>Records how many optimiser steps are applied.</summary>
    public Task SetStepAsync(string runId, int step, CancellationToken cancellationToken) => SetAsync(runId, "step", step, cancellationToken);

    /// <summary>Records how many optimiser steps the run has.</summary>
    public Task SetTotalStepsAsync(string runId, int steps, CancellationToken cancellationToken) => SetAsync(runId, "total_steps", steps, cancellationToken);

    /// <summary>Records how many samples the run goes on without.</summary>
    public Task SetFailedSamplesAsync(string runId, int samples, CancellationToken cancellationToken) => SetAsync(runId, "failed_samples", samples, cancellationToken);

    /// <summary>Records what the trainer found.</summary>
    public Task SetFactsAsync(string runId, RunFacts facts, CancellationToken cancellationToken) =>
        SetAsync(runId, "facts", JsonSerializer.Serialize(facts, ClusterApi.Json), cancellationToken);

    /// <summary>Records which device serves which client.</summary>
    public Task SetClientsAsync(string runId, IReadOnlyList<RunClient> clients, CancellationToken cancellationToken) =>
        SetAsync(runId, "clients", JsonSerializer.Serialize(clients, ClusterApi.Json), cancellationToken);

    /// <summary>
    /// A number, greater than every earlier one, for a start of some run's coordinator. It begins with the seconds since 2025, so that a
    /// server that has lost everything still gives greater ones.
    /// </summary>
    public async Task<long> NextStartAsync(CancellationToken cancellationToken)
    {
        _ = _state.StringSetAsync(Starts, (long)(time.GetUtcNow() - s_epoch).TotalSeconds, when: When.NotExists);
        return await _state.StringIncrementAsync(Starts).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Appends an event, a line of JSON.</summary>
    public async Task AppendEventAsync(string runId, string line, CancellationToken cancellationToken)
    {
        var kept = await _state.ListRightPushAsync(Events(runId), line).WaitAsync(cancellationToken).ConfigureAwait(false);
        if (kept > maximumEvents)
        {
            var leaving = Math.Max(maximumEvents / 20, 1);
            var transaction = _state.CreateTransaction();
            _ = transaction.ListTrimAsync(Events(runId), leaving, -1);
            _ = transaction.StringIncrementAsync(FirstEvent(runId), leaving);
            await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Number of events so far, those included that have left.</summary>
    public async Task<long> CountEventsAsync(string runId, CancellationToken cancellationToken)
    {
        var first = _state.StringGetAsync(FirstEvent(runId));
        var kept = await _state.ListLengthAsync(Events(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
        return (long)await first.WaitAsync(cancellationToken).ConfigureAwait(false) + kept;
    }

    /// <summary>Events from number <paramref name="from"/> on, counted from 0; none where there are no more.</summary>
    public async Task<StoredEvents> ReadEventsAsync(string runId, long from, int limit, CancellationToken cancellationToken)
    {
        while (true)
        {
            var before = (long)await _state.StringGetAsync(FirstEvent(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
            var index = Math.Max(from - before, 0);
            var lines = await _state.ListRangeAsync(Events(runId), index, index + limit - 1).WaitAsync(cancellationToken).ConfigureAwait(false);
            var after = (long)await _state.StringGetAsync(FirstEvent(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (before == after)
            {
                return new StoredEvents(before + index, [.. lines.Select(line => line.ToString())]);
            }
        }
    }

    private async Task<bool> AddAsync(StoredRun run, long firstEvent, CancellationToken cancellationToken)
    {
        var record = Record(run.RunId);
        var fields = new List<HashEntry>
        {
            new(SpecField, JsonSerializer.Serialize(run.Spec, ClusterApi.Json)),
            new(StatusField, Text(run.Status)),
            new("created", Text(run.Created)),
            new("started", Text(run.Started)),
            new("step", run.Step),
            new("total_steps", run.TotalSteps),
            new("failed_samples", run.FailedSamples),
            new("clients", JsonSerializer.Serialize(run.Clients, ClusterApi.Json)),
        };
        if (run.Facts is not null)
        {
            fields.Add(new("facts", JsonSerializer.Serialize(run.Facts, ClusterApi.Json)));
        }

        if (run.Reason is not null)
        {
            fields.Add(new(ReasonField, run.Reason));
        }

        var transaction = _state.CreateTransaction();
        transaction.AddCondition(Condition.HashNotExists(record, SpecField));
        _ = transaction.HashSetAsync(record, [.. fields]);
        _ = transaction.StringSetAsync(FirstEvent(run.RunId), firstEvent);
        _ = transaction.SortedSetAddAsync(Runs, run.RunId, run.Created.ToUnixTimeMilliseconds());
        _ = transaction.SetAddAsync(Open, run.RunId);
        return await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task SetAsync(string runId, string field, RedisValue value, CancellationToken cancellationToken) =>
        await _state.HashSetAsync(Record(runId), field, value).WaitAsync(cancellationToken).ConfigureAwait(false);

    private async Task<IReadOnlyList<StoredRun>> FindAllAsync(RedisValue[] ids, CancellationToken cancellationToken)
    {
        var runs = await Task.WhenAll(ids.Select(id => FindAsync(id.ToString(), cancellationToken))).ConfigureAwait(false);
        return [.. runs.OfType<StoredRun>()];
    }

    private static StoredRun Read(string runId, HashEntry[] fields, bool isOpen)
    {
        var values = fields.ToDictionary(field => field.Name.ToString(), field => field.Value.ToString(), StringComparer.Ordinal);
        return new StoredRun(
            runId,
            Json<RunSpec>(SpecField)!,
            Enum.Parse<RunStatus>(values[StatusField]), Time("created"), Time("started"), Number("step"), Number("total_steps"), Number("failed_samples"),
            values.GetValueOrDefault(ReasonField), Json<RunFacts>("facts"), Json<RunClient[]>("clients") ?? [], isOpen);

        T? Json<T>(string field)
            where T : class => values.TryGetValue(field, out var json) ? JsonSerializer.Deserialize<T>(json, ClusterApi.Json) : null;

        int Number(string field) => values.TryGetValue(field, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : 0;

        DateTimeOffset Time(string field) => DateTimeOffset.Parse(values[field], CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind);
    }

    private static string Text(RunStatus status) => status.ToString();

    private static string Text(DateTimeOffset time) => time.ToString("O", CultureInfo.InvariantCulture);

    private static RedisKey Record(string runId) => $"run:{runId}:record";

    private static RedisKey Events(string runId) => $"run:{runId}:events";

    private static RedisKey Deleted(string runId) => $"run:{runId}:deleted";

    private static RedisKey FirstEvent(string runId) => $"run:{runId}:events:first";
}
