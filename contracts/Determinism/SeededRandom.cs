using System.Buffers.Binary;
using System.IO.Hashing;
using System.Numerics;
using System.Text;

namespace SplitFrozen.Contracts.Determinism;

/// <summary>
/// The project's own random generator: xoshiro256** (Blackman and Vigna, 2018), seeded through SplitMix64. The same seed
/// gives the same numbers on every machine and in every version, which plans, partitions and initial weights rely on.
/// Not thread-safe; not for secrets.
/// </summary>
public sealed class SeededRandom
{
    private ulong _s0;
    private ulong _s1;
    private ulong _s2;
    private ulong _s3;

    /// <summary>Starts the generator from <paramref name="seed"/>; every value is a good seed.</summary>
    public SeededRandom(ulong seed)
    {
        _s0 = SplitMix64(ref seed);
        _s1 = SplitMix64(ref seed);
        _s2 = SplitMix64(ref seed);
        _s3 = SplitMix64(ref seed);
    }

    /// <summary>
    /// A generator that belongs to one purpose (for example <c>"plan"</c>) and indices within it (for example the epoch),
    /// independent of all others under the same run seed.
    /// </summary>
    public static SeededRandom ForStream(ulong seed, string purpose, params ReadOnlySpan<ulong> indices)
    {
        var hash = new XxHash3(unchecked((long)seed));
        hash.Append(Encoding.UTF8.GetBytes(purpose));
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        foreach (var index in indices)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(word, index);
            hash.Append(word);
        }

        return new SeededRandom(hash.GetCurrentHashAsUInt64());
    }

    /// <summary>A uniform 64-bit integer.</summary>
    public ulong NextUInt64()
    {
        var result = BitOperations.RotateLeft(_s1 * 5, 7) * 9;
        var t = _s1 << 17;
        _s2 ^= _s0;
        _s3 ^= _s1;
        _s1 ^= _s2;
        _s0 ^= _s3;
        _s2 ^= t;
        _s3 = BitOperations.RotateLeft(_s3, 45);
        return result;
    }

    /// <summary>A uniform integer in <c>[0, exclusiveMaximum)</c>, without bias (Lemire's rejection, 2019).</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="exclusiveMaximum"/> is not positive.</exception>
    public int NextInt32(int exclusiveMaximum)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(exclusiveMaximum);
        var bound = (ulong)exclusiveMaximum;
        var high = Math.BigMul(NextUInt64(), bound, out var low);
        if (low < bound)
        {
            var threshold = unchecked(0UL - bound) % bound;
            while (low < threshold)
            {
                high = Math.BigMul(NextUInt64(), bound, out low);
            }
        }

        return (int)high;
    }

    /// <summary>A uniform number in <c>[0, 1)</c> with 53 random bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>A normally distributed number with mean 0 and variance 1 (Box and Muller, 1958; one of the pair is used).</summary>
    public double NextGaussian()
    {
        var radius = Math.Sqrt(-2.0 * Math.Log(1.0 - NextDouble()));
        return radius * Math.Cos(2.0 * Math.PI * NextDouble());
    }

    /// <summary>A gamma-distributed number with the given shape and scale 1 (Marsaglia and Tsang, 2000).</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="shape"/> is not positive.</exception>
    public double NextGamma(double shape)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(shape);
        if (shape < 1.0)
        {
            return NextGamma(shape + 1.0) * Math.Pow(1.0 - NextDouble(), 1.0 / shape);
        }

        var d = shape - (1.0 / 3.0);
        var c = 1.0 / Math.Sqrt(9.0 * d);
        while (true)
        {
            var x = NextGaussian();
            var v = Math.Pow(1.0 + (c * x), 3);
            if (v > 0 && Math.Log(1.0 - NextDouble()) < (0.5 * x * x) + d - (d * v) + (d * Math.Log(v)))
            {
                return d * v;
            }
        }
    }

    /// <summary>Puts the items into a uniformly random order, in place (Fisher and Yates).</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = NextInt32(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    private static ulong SplitMix64(ref ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        var z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
