using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.Contracts.Tests.Determinism;

public sealed class SeededRandomTests
{
    /// <summary>
    /// Expected values come from an implementation in Python integers, which was itself checked against the published
    /// first outputs of xoshiro256** (state 1, 2, 3, 4: 11520, 0, 1509978240) and of SplitMix64 (seed 1234567).
    /// </summary>
    [Theory]
    [InlineData(0UL, new ulong[] { 11091344671253066420, 13793997310169335082, 1900383378846508768, 7684712102626143532 })]
    [InlineData(1UL, new ulong[] { 12966619160104079557, 9600361134598540522, 10590380919521690900, 7218738570589545383 })]
    [InlineData(1234567UL, new ulong[] { 3504822795582309479, 1819558768956484042, 1250851346055027673, 16940231675099994102 })]
    [InlineData(ulong.MaxValue, new ulong[] { 10328197420357168392, 14156678507024973869, 9357971779955476126, 13791585006304312367 })]
    public void NextUInt64_FromASeed_IsXoshiro256StarStar(ulong seed, ulong[] expected)
    {
        var random = new SeededRandom(seed);

        Assert.Equal(expected, expected.Select(_ => random.NextUInt64()));
    }

    [Fact]
    public void NextInt32_SmallBound_IsUniform()
    {
        var random = new SeededRandom(7);
        var counts = new int[6];
        for (var i = 0; i < 60_000; i++)
        {
            counts[random.NextInt32(6)]++;
        }

        // Chi-square with 5 degrees of freedom: beyond 25.7 with probability 0.0001.
        Assert.InRange(counts.Sum(count => Math.Pow(count - 10_000, 2) / 10_000), 0, 25.7);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void NextInt32_BoundThatIsNotPositive_Throws(int bound) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new SeededRandom(1).NextInt32(bound));

    [Fact]
    public void NextGaussian_ManyDraws_HasTheMomentsOfTheNormalDistribution()
    {
        var random = new SeededRandom(11);
        var draws = Enumerable.Range(0, 100_000).Select(_ => random.NextGaussian()).ToArray();

        // Standard errors of mean, variance and fourth moment at this count: 0.003, 0.0045, 0.031. Five of each are allowed.
        Assert.InRange(draws.Average(), -0.016, 0.016);
        Assert.InRange(draws.Average(x => x * x), 0.977, 1.023);
        Assert.InRange(draws.Average(x => Math.Pow(x, 4)), 2.84, 3.16);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(1.0)]
    [InlineData(7.5)]
    public void NextGamma_ManyDraws_HasMeanAndVarianceOfItsShape(double shape)
    {
        var random = new SeededRandom(13);
        var draws = Enumerable.Range(0, 100_000).Select(_ => random.NextGamma(shape)).ToArray();
        var mean = draws.Average();
        var variance = draws.Average(x => Math.Pow(x - mean, 2));

        // Mean and variance are both the shape; the variance of the squared deviation is 2·shape² + 6·shape.
        Assert.InRange(mean, shape - (5 * Math.Sqrt(shape / draws.Length)), shape + (5 * Math.Sqrt(shape / draws.Length)));
        var error = 5 * Math.Sqrt(((2 * shape * shape) + (6 * shape)) / draws.Length);
        Assert.InRange(variance, shape - error, shape + error);
    }

    [Fact]
    public void Shuffle_ThreeItems_GivesEveryOrderEquallyOften()
    {
        var random = new SeededRandom(17);
        var counts = new Dictionary<string, int>();
        for (var i = 0; i < 60_000; i++)
        {
            char[] items = ['a', 'b', 'c'];
            random.Shuffle<char>(items);
            var order = new string(items);
            counts[order] = counts.GetValueOrDefault(order) + 1;
        }

        Assert.Equal(6, counts.Count);
        Assert.InRange(counts.Values.Sum(count => Math.Pow(count - 10_000, 2) / 10_000), 0, 25.7);
    }

    [Fact]
    public void ForStream_OtherPurposeOrIndex_GivesOtherNumbers()
    {
        ulong[] firsts =
        [
            SeededRandom.ForStream(1, "plan").NextUInt64(),
            SeededRandom.ForStream(1, "plan", 0).NextUInt64(),
            SeededRandom.ForStream(1, "plan", 1).NextUInt64(),
            SeededRandom.ForStream(1, "plan", 0, 1).NextUInt64(),
            SeededRandom.ForStream(1, "partition", 0).NextUInt64(),
            SeededRandom.ForStream(2, "plan", 0).NextUInt64(),
        ];

        Assert.Equal(firsts.Length, firsts.Distinct().Count());
        Assert.Equal(firsts[1], SeededRandom.ForStream(1, "plan", 0).NextUInt64());
    }
}
