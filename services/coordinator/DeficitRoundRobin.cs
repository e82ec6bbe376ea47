namespace SplitFrozen.Coordinator;

/// <summary>
/// Decides whose queue is served next, fairly in bytes. Each active client earns <c>quantum × weight</c> bytes per round
/// and is served while its balance is positive; the size of a message is charged after it is taken, so a balance may fall
/// below zero by less than one message and is paid back in the next rounds (deficit round robin of Shreedhar and Varghese,
/// 1995, in the surplus form that needs no look at a queue's head). The quantum grows to the largest message, so that choosing costs
/// O(1) whatever the number of clients and the size of messages, and a turn is about one message. Not thread-safe.
/// </summary>
/// <remarks>
/// For two clients that stay active, bytes served per weight differ by at most <c>2 q + m/w₁ + m/w₂</c>, where m is the largest message and
/// q the larger one of m and the least quantum.
/// </remarks>
/// <typeparam name="TKey">Names a client.</typeparam>
/// <param name="leastQuantum">Bytes that a client of weight 1 earns per round while messages are smaller; at least 1.</param>
public sealed class DeficitRoundRobin<TKey>(long leastQuantum)
    where TKey : notnull
{
    private readonly Dictionary<TKey, Account> _accounts = [];
    private readonly LinkedList<Account> _active = [];

    private double _quantum = leastQuantum >= 1
        ? leastQuantum
        : throw new ArgumentOutOfRangeException(nameof(leastQuantum), leastQuantum, "A quantum is at least one byte.");

    /// <summary>Number of clients that may have a message.</summary>
    public int ActiveCount => _active.Count;

    /// <summary>Adds a client, inactive; or changes the weight of one that is there.</summary>
    /// <param name="key">The client.</param>
    /// <param name="weight">Its share relative to the others, greater than 0.</param>
    public void SetWeight(TKey key, double weight)
    {
        if (!(weight > 0) || !double.IsFinite(weight))
        {
            throw new ArgumentOutOfRangeException(nameof(weight), weight, "A weight is a positive number.");
        }

        if (_accounts.TryGetValue(key, out var account))
        {
            account.Weight = weight;
            return;
        }

        _accounts.Add(key, new Account(key) { Weight = weight });
    }

    /// <summary>Says that a client's queue may have a message. Nothing happens when it is active already.</summary>
    public void Activate(TKey key)
    {
        var account = _accounts[key];
        if (account.Place.List is null)
        {
            _active.AddLast(account.Place);
        }
    }

    /// <summary>
    /// Says that a client's queue is empty. It keeps what it owes and loses what it saved: a client cannot save up while idle.
    /// </summary>
    public void Deactivate(TKey key)
    {
        var account = _accounts[key];
        if (account.Place.List is not null)
        {
            _active.Remove(account.Place);
            account.Balance = Math.Min(account.Balance, 0);
        }
    }

    /// <summary>The client to serve now; false when none is active.</summary>
    public bool TryNext(out TKey? key)
    {
        while (_active.First is { } first)
        {
            var account = first.Value;
            if (account.Balance > 0)
            {
                key = account.Key;
                return true;
            }

            account.Balance += _quantum * account.Weight;
            _active.RemoveFirst();
            _active.AddLast(first);
        }

        key = default;
        return false;
    }

    /// <summary>Charges a client for a message that was taken from its queue.</summary>
    public void Charge(TKey key, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);

        // An empty message costs a byte: a flood of them must not hold the turn for ever.
        _accounts[key].Balance -= Math.Max(bytes, 1);
        _quantum = Math.Max(_quantum, bytes);
    }

    private sealed class Account
    {
        public Account(TKey key)
        {
            Key = key;
            Place = new LinkedListNode<Account>(this);
        }

        public TKey Key { get; }

        public LinkedListNode<Account> Place { get; }

        public double Weight { get; set; }

        public double Balance { get; set; }
    }
}
