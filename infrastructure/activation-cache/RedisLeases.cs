using System.Globalization;
using StackExchange.Redis;

namespace SplitFrozen.ActivationCache;

/// <summary>A lease that is held.</summary>
/// <param name="Name">What is leased.</param>
/// <param name="Owner">Who holds it.</param>
/// <param name="Epoch">Number of this holding: greater than that of every earlier one, so that a late writer can be told from its successor.</param>
public sealed record Lease(string Name, string Owner, long Epoch);

/// <summary>
/// Leases in a Redis-protocol server (Redis 7 or Garnet; only commands that both have): at most one holder of a name at a time, until its
/// time ends or it releases. Number and holder are written as one, so that numbers grow in the order of the holders. Thread-safe.
/// </summary>
public sealed class RedisLeases(CacheConnection connection)
{
    private readonly IDatabase _state = connection.State.GetDatabase();

    /// <summary>Takes the lease where nobody holds it; null where somebody does, be it the same owner.</summary>
    /// <param name="name">What is leased.</param>
    /// <param name="owner">Names the process.</param>
    /// <param name="time">How long it is held without being extended.</param>
    /// <param name="cancellationToken">Gives up waiting; the lease may be taken all the same.</param>
    public async Task<Lease?> TryTakeAsync(string name, string owner, TimeSpan time, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentException.ThrowIfNullOrEmpty(owner);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(time, TimeSpan.Zero);
        var last = await _state.StringGetAsync(EpochKey(name)).WaitAsync(cancellationToken).ConfigureAwait(false);
        var lease = new Lease(name, owner, last.IsNull ? 1 : (long)last + 1);
        var transaction = _state.CreateTransaction();
        transaction.AddCondition(Condition.KeyNotExists(HolderKey(name)));
        transaction.AddCondition(last.IsNull ? Condition.KeyNotExists(EpochKey(name)) : Condition.StringEqual(EpochKey(name), last));
        _ = transaction.StringIncrementAsync(EpochKey(name));
        _ = transaction.StringSetAsync(HolderKey(name), Holder(lease), time);
        return await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false) ? lease : null;
    }

    /// <summary>Holds the lease for <paramref name="time"/> from now; false when it is lost.</summary>
    public async Task<bool> ExtendAsync(Lease lease, TimeSpan time, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(lease);
        var transaction = _state.CreateTransaction();
        transaction.AddCondition(Condition.StringEqual(HolderKey(lease.Name), Holder(lease)));
        _ = transaction.KeyExpireAsync(HolderKey(lease.Name), time);
        return await transaction.ExecuteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Gives the lease back; false when it was lost before.</summary>
    public async Task<bool> ReleaseAsync(Lease lease, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(lease);
        return await _state.LockReleaseAsync(HolderKey(lease.Name), Holder(lease)).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private static string Holder(Lease lease) => $"{lease.Epoch.ToString(CultureInfo.InvariantCulture)} {lease.Owner}";

    private static RedisKey HolderKey(string name) => $"splitfrozen:lease:{name}";

    private static RedisKey EpochKey(string name) => $"splitfrozen:lease:{name}:epoch";
}
