using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>
/// Composes the steps of one epoch from the samples that are ready (order <c>available</c>). A step takes from each client
/// in proportion to what it still has in the epoch, as far as that is ready, and fills up from the others: it never waits
/// while a batch can be made, and never takes one client only while another has samples ready. Within a client, samples go
/// in the order of the epoch's permutation. Not thread-safe.
/// </summary>
public sealed class AvailableComposer
{
    private readonly int _batchSize;
    private readonly Dictionary<SampleId, int> _rank;
    private readonly Dictionary<SampleId, ClientQueue> _owner = [];
    private readonly List<ClientQueue> _clients = [];

    /// <summary>Starts an epoch.</summary>
    /// <param name="permutation">The epoch's training samples in planned order.</param>
    /// <param name="clientOf">The client that holds a sample.</param>
    /// <param name="batchSize">Samples per step.</param>
    /// <param name="alreadyComposed">Samples that steps of this epoch hold already, after a restart.</param>
    public AvailableComposer(
        IReadOnlyList<SampleId> permutation, Func<SampleId, string> clientOf, int batchSize, IReadOnlySet<SampleId> alreadyComposed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        _batchSize = batchSize;
        _rank = new Dictionary<SampleId, int>(permutation.Count);
        var byName = new SortedDictionary<string, ClientQueue>(StringComparer.Ordinal);
        for (var rank = 0; rank < permutation.Count; rank++)
        {
            var sample = permutation[rank];
            if (alreadyComposed.Contains(sample))
            {
                continue;
            }

            var name = clientOf(sample);
            if (!byName.TryGetValue(name, out var client))
            {
                byName.Add(name, client = new ClientQueue());
            }

            client.Remaining++;
            Remaining++;
            _rank.Add(sample, rank);
            _owner.Add(sample, client);
        }

        _clients.AddRange(byName.Values);
    }

    /// <summary>Samples of the epoch that no step holds yet.</summary>
    public int Remaining { get; private set; }

    /// <summary>Samples that are ready and that no step holds yet.</summary>
    public int Ready { get; private set; }

    /// <summary>True when a step can be made now: a full batch is ready, or all that is left of the epoch.</summary>
    public bool CanCompose => Remaining > 0 && Ready >= Math.Min(_batchSize, Remaining);

    /// <summary>Says that a sample's activations are there. Repeats, and samples that are in a step already, are ignored.</summary>
    public void MarkReady(SampleId sample)
    {
        if (_owner.TryGetValue(sample, out var client) && client.Waiting.Add(sample))
        {
            client.Ready.Enqueue(sample, _rank[sample]);
            Ready++;
        }
    }

    /// <summary>The epoch goes on without a sample; one that is in a step already, or none of it, is ignored.</summary>
    public void Remove(SampleId sample)
    {
        if (!_owner.Remove(sample, out var client))
        {
            return;
        }

        if (client.Waiting.Remove(sample))
        {
            client.Ready.Remove(sample, out _, out _);
            Ready--;
        }

        client.Remaining--;
        Remaining--;
        _rank.Remove(sample);
    }

    /// <summary>Takes the next step's samples; null when <see cref="CanCompose"/> is false.</summary>
    public SampleId[]? TryCompose()
    {
        if (!CanCompose)
        {
            return null;
        }

        var size = Math.Min(_batchSize, Remaining);
        var shares = Shares(size);
        var batch = new List<SampleId>(size);
        for (var i = 0; i < shares.Length; i++)
        {
            var client = _clients[i];
            for (var n = 0; n < shares[i]; n++)
            {
                var sample = client.Ready.Dequeue();
                client.Waiting.Remove(sample);
                _owner.Remove(sample);
                batch.Add(sample);
            }

            client.Remaining -= shares[i];
        }

        Remaining -= size;
        Ready -= size;
        batch.Sort((left, right) => _rank[left].CompareTo(_rank[right]));
        foreach (var sample in batch)
        {
            _rank.Remove(sample);
        }

        return [.. batch];
    }

    /// <summary>
    /// How many samples each client gives: proportional to what it has left, limited by what is ready, whole numbers by the
    /// largest remainder.
    /// </summary>
    private int[] Shares(int size)
    {
        var shares = new int[_clients.Count];
        var open = Enumerable.Range(0, shares.Length).Where(i => _clients[i].Ready.Count > 0).ToList();
        var left = size;
        while (true)
        {
            var perRemaining = left / open.Sum(i => (double)_clients[i].Remaining);
            var exhausted = open.FindAll(i => perRemaining * _clients[i].Remaining >= _clients[i].Ready.Count);
            if (exhausted.Count == 0)
            {
                RoundInto(shares, open, perRemaining, left);
                return Mixed(shares, size);
            }

            foreach (var i in exhausted)
            {
                shares[i] = Math.Min(_clients[i].Ready.Count, left);
                left -= shares[i];
                open.Remove(i);
            }

            if (left == 0)
            {
                return Mixed(shares, size);
            }
        }
    }

    private void RoundInto(int[] shares, List<int> open, double perRemaining, int left)
    {
        foreach (var i in open)
        {
            shares[i] = (int)(perRemaining * _clients[i].Remaining);
            left -= shares[i];
        }

        var byFraction = open.OrderByDescending(i => (perRemaining * _clients[i].Remaining) - shares[i]).ThenBy(i => i);
        foreach (var i in byFraction.Take(left).ToArray())
        {
            shares[i]++;
        }
    }

    /// <summary>Rounding may leave a step to one large client alone: then the one with most left of the others gives one.</summary>
    private int[] Mixed(int[] shares, int size)
    {
        var only = Array.FindIndex(shares, share => share == size);
        if (size < 2 || only < 0)
        {
            return shares;
        }

        var other = Enumerable.Range(0, shares.Length)
            .Where(i => i != only && _clients[i].Ready.Count > 0)
            .OrderByDescending(i => _clients[i].Remaining)
            .FirstOrDefault(-1);
        if (other >= 0)
        {
            shares[only]--;
            shares[other]++;
        }

        return shares;
    }

    private sealed class ClientQueue
    {
        public int Remaining { get; set; }

        public HashSet<SampleId> Waiting { get; } = [];

        public PriorityQueue<SampleId, int> Ready { get; } = new();
    }
}
