using CsCheck;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Tasks.Tests;

public sealed class PartitionerTests
{
    private static readonly Gen<(ClientsSpec Spec, int Rows, int Classes, ulong Seed)> AnyDeal =
        Gen.Select(
            Gen.OneOf(Gen.Const("iid"), Gen.Const("dirichlet"), Gen.Const("classes"), Gen.Const("zipf")), Gen.Int[1, 12], Gen.Int[0, 150], Gen.Int[1, 5], Gen.Double[-3, 2], Gen.ULong)
        .Select((partition, clients, extra, classes, exponent, seed) =>
        {
            var perClient = Math.Max(1, (classes + clients - 1) / clients);
            var spec = new ClientsSpec
            {
                Count = clients,
                Partition = partition,
                Alpha = Math.Pow(10, exponent),
                Exponent = Math.Pow(10, exponent),
                ClassesPerClient = perClient,
            };
            return (spec, Math.Max(clients, classes) + extra, classes, seed);
        });

    [Fact]
    public void Partition_AnySpec_DealsEveryRowOnceAndLeavesNoClientEmpty() => AnyDeal.Sample(deal =>
    {
        var parts = Partitioner.Partition(Rows(deal.Rows, row => row % deal.Classes), deal.Spec, deal.Seed);

        Assert.Equal(deal.Spec.Count, parts.Length);
        Assert.Equal(Enumerable.Range(0, deal.Rows), parts.SelectMany(p => p).Order());
        Assert.All(parts, part => Assert.NotEmpty(part));
        Assert.All(parts, part => Assert.Equal(part.Order(), part));
    });

    [Fact]
    public void Partition_SameSeed_IsTheSame() => AnyDeal.Sample(deal =>
    {
        var rows = Rows(deal.Rows, row => row % deal.Classes);
        Assert.Equal(Partitioner.Partition(rows, deal.Spec, deal.Seed), Partitioner.Partition(rows, deal.Spec, deal.Seed));
    });

    [Theory]
    [InlineData("iid")]
    [InlineData("dirichlet")]
    [InlineData("classes")]
    [InlineData("zipf")]
    public void Partition_AnotherSeed_DealsDifferently(string partition)
    {
        var rows = Rows(200, row => row % 2);
        var spec = new ClientsSpec { Count = 4, Partition = partition };
        Assert.NotEqual(Partitioner.Partition(rows, spec, 1), Partitioner.Partition(rows, spec, 2));
    }

    [Fact]
    public void Iid_UnevenRows_GivesPartsThatDifferByOne()
    {
        var parts = Partitioner.Partition(Rows(103, _ => 0), new ClientsSpec { Count = 10 }, 1);
        Assert.Equal([10, 10, 10, 10, 10, 10, 10, 11, 11, 11], parts.Select(p => p.Length).Order());
    }

    [Fact]
    public void Iid_ManySeeds_EveryRowIsEquallyLikelyAtEveryClient()
    {
        const int Seeds = 4000;
        var rows = Rows(8, _ => 0);
        var counts = new int[8, 4];
        for (var seed = 0UL; seed < Seeds; seed++)
        {
            var parts = Partitioner.Partition(rows, new ClientsSpec { Count = 4 }, seed);
            for (var client = 0; client < 4; client++)
            {
                Array.ForEach(parts[client], row => counts[row, client]++);
            }
        }

        // Binomial(4000, 1/4): standard deviation 27.4; 32 cells, so 4.5 deviations.
        Assert.All(counts.Cast<int>(), count => Assert.InRange(count, 1000 - 123, 1000 + 123));
    }

    [Fact]
    public void Classes_OnePerClientOfTwo_EightClientsHoldExactlyOneClassInEqualParts()
    {
        var rows = Rows(1000, row => row < 700 ? 0 : 1);
        var parts = Partitioner.Partition(rows, new ClientsSpec { Count = 8, Partition = "classes", ClassesPerClient = 1 }, 7);

        Assert.All(parts, part => Assert.Single(part.Select(row => rows[row].Class).Distinct()));
        Assert.Equal([75, 75, 75, 75, 175, 175, 175, 175], parts.Select(p => p.Length).Order());
    }

    [Fact]
    public void Classes_AnyK_NoClientHoldsMoreThanKClasses() =>
        Gen.Select(Gen.Int[1, 6], Gen.Int[1, 10], Gen.Int[1, 6], Gen.Int[0, 60], Gen.ULong)
            .Where((classes, clients, k, _, _) => k <= classes && k * clients >= classes)
            .Sample((classes, clients, k, extra, seed) =>
            {
                // Class 0 is rare, so some of its holders would get nothing.
                var rows = Rows(Math.Max(clients, classes) + extra, row => row < classes ? row : Math.Max(classes - 1, row % classes));
                var parts = Partitioner.Partition(rows, new ClientsSpec { Count = clients, Partition = "classes", ClassesPerClient = k }, seed);
                Assert.All(parts, part => Assert.InRange(part.Select(row => rows[row].Class).Distinct().Count(), 1, k));
            });

    [Fact]
    public void Dirichlet_ManySeeds_HasTheMeanAndVarianceOfTheDistribution()
    {
        const int Seeds = 4000;
        const int Clients = 5;
        const double Alpha = 0.5;
        var rows = Rows(1000, _ => 0);
        var shares = new List<double>();
        for (var seed = 0UL; seed < Seeds; seed++)
        {
            var parts = Partitioner.Partition(rows, new ClientsSpec { Count = Clients, Partition = "dirichlet", Alpha = Alpha }, seed);
            shares.Add(parts[2].Length / 1000.0);
        }

        var mean = shares.Average();
        var variance = shares.Average(s => (s - mean) * (s - mean));
        const double Expected = (1.0 / Clients) * (1 - (1.0 / Clients)) / ((Clients * Alpha) + 1);
        Assert.InRange(mean, 0.2 - 0.012, 0.2 + 0.012);
        Assert.InRange(variance, Expected * 0.92, Expected * 1.08);
    }

    [Fact]
    public void Dirichlet_HalfOverTwoClients_FollowsTheArcsineLaw()
    {
        // Dir(1/2, 1/2) is Beta(1/2, 1/2), whose distribution function is (2 / π) asin(√x).
        const int Seeds = 4000;
        var rows = Rows(1000, _ => 0);
        var shares = Enumerable.Range(0, Seeds)
            .Select(seed => Partitioner.Partition(rows, new ClientsSpec { Count = 2, Partition = "dirichlet", Alpha = 0.5 }, (ulong)seed)[0].Length / 1000.0)
            .ToArray();

        foreach (var x in new[] { 0.0505, 0.2005, 0.5005, 0.8005, 0.9505 })
        {
            var found = shares.Count(s => s <= x) / (double)Seeds;
            Assert.Equal(2 / Math.PI * Math.Asin(Math.Sqrt(x)), found, tolerance: 0.03);
        }
    }

    [Fact]
    public void Dirichlet_TwoClasses_DrawsSharesForEachClassApart()
    {
        var rows = Rows(1000, row => row % 2);
        var parts = Partitioner.Partition(rows, new ClientsSpec { Count = 4, Partition = "dirichlet", Alpha = 0.1 }, 3);
        var balance = parts.Select(p => p.Average(row => rows[row].Class)).ToArray();
        Assert.True(balance.Max() - balance.Min() > 0.5, $"Shares of class 1: {string.Join(", ", balance)}");
    }

    [Fact]
    public void Zipf_TenClients_HasTheSharesOfTheFormula()
    {
        var parts = Partitioner.Partition(Rows(10_000, _ => 0), new ClientsSpec { Count = 10, Partition = "zipf", Exponent = 1.2 }, 1);
        var harmonic = Enumerable.Range(1, 10).Sum(n => Math.Pow(n, -1.2));
        for (var n = 0; n < 10; n++)
        {
            Assert.InRange(parts[n].Length - (10_000 * Math.Pow(n + 1, -1.2) / harmonic), -1, 1);
        }
    }

    [Theory]
    [InlineData("iid", 9, 1, "clients.count")]
    [InlineData("iid", 0, 1, "clients.count")]
    [InlineData("classes", 4, 3, "clients.classes_per_client")]
    [InlineData("classes", 1, 1, "clients.classes_per_client")]
    [InlineData("random", 2, 1, "clients.partition")]
    public void Partition_ImpossibleSpec_NamesTheField(string partition, int clients, int perClient, string field)
    {
        var spec = new ClientsSpec { Count = clients, Partition = partition, ClassesPerClient = perClient };
        var refusal = Assert.Throws<DataException>(() => Partitioner.Partition(Rows(8, row => row % 2), spec, 1));
        Assert.Equal(field, Assert.Single(refusal.Faults).Field);
    }

    private static EncodedSample[] Rows(int count, Func<int, int> classOf) =>
        [.. Enumerable.Range(0, count).Select(row => new EncodedSample(SampleId.Training(row), [1], [classOf(row)], false, classOf(row)))];
}
