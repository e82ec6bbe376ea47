using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Tasks;

/// <summary>
/// Deals training rows to simulated clients. Every row goes to exactly one client; the same rows, spec and seed give the same
/// deal on every machine.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item><c>iid</c>: a random deal in equal parts, which differ by one row at most.</item>
/// <item>
/// <c>dirichlet</c>: for each class, shares over the clients are drawn from Dir(α, …, α) and the class is dealt by them
/// (as in Yurochkin et al., arXiv 1905.12022). One client's share of a class has mean 1/N and variance (1/N)(1 − 1/N)/(Nα + 1).
/// </item>
/// <item>
/// <c>classes</c>: the classes, in random order, go round the clients, k to each; the rows of a class are dealt in
/// equal parts to the clients that hold it. With k = 1 each client holds exactly one class.
/// </item>
/// <item><c>zipf</c>: a random deal in parts proportional to 1 / n^s for client n = 1, 2, …, so client 0 holds the most.</item>
/// </list>
/// No client is left empty: a client that the deal left without rows gets one from whichever client then holds the most.
/// </remarks>
public static class Partitioner
{
    /// <summary>
    /// Row indices into <paramref name="train"/>, <c>[client][rows]</c>, ascending within each client.
    /// </summary>
    /// <exception cref="DataException">
    /// The count of clients is not in <c>[1, rows]</c>, or <c>classes</c> asks for more classes than there are or leaves one without a holder.
    /// </exception>
    public static int[][] Partition(IReadOnlyList<EncodedSample> train, ClientsSpec spec, ulong seed)
    {
        if (spec.Count < 1 || spec.Count > train.Count)
        {
            throw Fault("count", $"{spec.Count} clients share {train.Count} training rows; expected 1 to {train.Count} clients; correct it or give more data");
        }

        var random = SeededRandom.ForStream(seed, "partition");
        var clients = Enumerable.Range(0, spec.Count).Select(_ => new List<int>()).ToArray();
        switch (spec.Partition)
        {
            case ClientPartitions.Iid:
                DealByShares(Shuffled(Enumerable.Range(0, train.Count), random), EqualShares(spec.Count), clients);
                break;
            case ClientPartitions.Zipf:
                DealByShares(Shuffled(Enumerable.Range(0, train.Count), random), Shares.Zipf(spec.Count, spec.Exponent), clients);
                break;
            case ClientPartitions.Dirichlet:
                foreach (var rows in RowsByClass(train))
                {
                    DealByShares(Shuffled(rows, random), Shares.Dirichlet(spec.Count, spec.Alpha, random), clients);
                }

                break;
            case ClientPartitions.Classes:
                DealByClass(RowsByClass(train), spec.ClassesPerClient, random, clients);
                break;
            default:
                throw Fault("partition", $"found '{spec.Partition}'; expected one of {string.Join(", ", ClientPartitions.Simulated)}");
        }

        FillEmpty(clients);
        return [.. clients.Select(c => c.Order().ToArray())];
    }

    private static void DealByClass(IReadOnlyList<IReadOnlyList<int>> classes, int perClient, SeededRandom random, List<int>[] clients)
    {
        if (perClient < 1 || perClient > classes.Count)
        {
            throw Fault("classes_per_client", $"found {perClient}; the training rows have {classes.Count} classes, expected 1 to {classes.Count}");
        }

        if ((long)perClient * clients.Length < classes.Count)
        {
            throw Fault(
                "classes_per_client",
                $"{clients.Length} clients with {perClient} classes each cannot hold all {classes.Count} classes; raise it or clients.count");
        }

        var order = Shuffled(Enumerable.Range(0, classes.Count), random);
        for (var c = 0; c < classes.Count; c++)
        {
            var place = Array.IndexOf(order, c);
            var holders = clients.Where((_, n) => Modulo(place - ((long)n * perClient), classes.Count) < perClient).ToArray();
            DealByShares(Shuffled(classes[c], random), EqualShares(holders.Length), holders);
        }
    }

    private static void DealByShares(int[] rows, double[] shares, List<int>[] clients)
    {
        var sizes = Shares.Apportion(shares, rows.Length);
        var start = 0;
        for (var n = 0; n < clients.Length; n++)
        {
            clients[n].AddRange(rows.AsSpan(start, sizes[n]));
            start += sizes[n];
        }
    }

    /// <summary>A client without rows holds no class yet, so one row can never bring it over its k classes.</summary>
    private static void FillEmpty(List<int>[] clients)
    {
        foreach (var empty in clients.Where(c => c.Count == 0))
        {
            var largest = clients.MaxBy(c => c.Count)!;
            empty.Add(largest[^1]);
            largest.RemoveAt(largest.Count - 1);
        }
    }

    private static IReadOnlyList<IReadOnlyList<int>> RowsByClass(IReadOnlyList<EncodedSample> train) =>
        [.. Enumerable.Range(0, train.Count).GroupBy(row => train[row].Class).OrderBy(g => g.Key).Select(g => g.ToArray())];

    private static int[] Shuffled(IEnumerable<int> items, SeededRandom random)
    {
        var shuffled = items.ToArray();
        random.Shuffle<int>(shuffled);
        return shuffled;
    }

    private static double[] EqualShares(int count) => [.. Enumerable.Repeat(1.0 / count, count)];

    private static long Modulo(long value, long modulus) => ((value % modulus) + modulus) % modulus;

    private static DataException Fault(string key, string what) => new(TaskDefinition.SpecFile, null, $"clients.{key}", what);
}
