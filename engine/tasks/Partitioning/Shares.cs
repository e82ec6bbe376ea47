using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.Tasks;

/// <summary>Shares of a whole, and whole numbers that follow them.</summary>
internal static class Shares
{
    /// <summary>Shares proportional to <c>1 / n^exponent</c> for n = 1 … count.</summary>
    public static double[] Zipf(int count, double exponent) =>
        Normalise([.. Enumerable.Range(1, count).Select(n => -exponent * Math.Log(n))]);

    /// <summary>
    /// One draw of Dir(α, …, α). The gamma draws are kept as logarithms (log Γ(α) = log Γ(α + 1) + log(u) / α), because for a
    /// small α they are all zero as doubles.
    /// </summary>
    public static double[] Dirichlet(int count, double alpha, SeededRandom random)
    {
        var logarithms = new double[count];
        for (var n = 0; n < count; n++)
        {
            logarithms[n] = Math.Log(random.NextGamma(alpha + 1)) + (Math.Log(1.0 - random.NextDouble()) / alpha);
        }

        return Normalise(logarithms);
    }

    /// <summary>
    /// Whole numbers that add up to <paramref name="total"/> and differ from <c>share * total</c> by less than one: the largest remainders are
    /// rounded up, the lower index first where they are equal.
    /// </summary>
    public static int[] Apportion(double[] shares, int total)
    {
        var sizes = shares.Select(s => (int)(s * total)).ToArray();
        var missing = total - sizes.Sum();
        foreach (var n in Enumerable.Range(0, shares.Length).OrderByDescending(n => (shares[n] * total) - sizes[n]).Take(missing).ToArray())
        {
            sizes[n]++;
        }

        return sizes;
    }

    private static double[] Normalise(double[] logarithms)
    {
        var largest = logarithms.Max();
        var weights = logarithms.Select(l => Math.Exp(l - largest)).ToArray();
        var sum = weights.Sum();
        return [.. weights.Select(w => w / sum)];
    }
}
