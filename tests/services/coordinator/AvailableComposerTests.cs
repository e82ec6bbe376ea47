using CsCheck;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class AvailableComposerTests
{
    [Fact]
    public void TryCompose_AnyArrivalOrder_TakesEverySampleOnceAndNeverWaitsNeedlessly() => Gen.Select(
        Gen.Int[1, 120], Gen.Int[1, 6], Gen.Int[1, 17], Gen.ULong).Sample((count, clients, batchSize, seed) =>
    {
        var random = new SeededRandom(seed);
        var owner = Enumerable.Range(0, count).ToDictionary(SampleId.Training, _ => $"c{random.NextInt32(clients)}");
        var composer = new AvailableComposer([.. owner.Keys], id => owner[id], batchSize, new HashSet<SampleId>());
        var arrivals = owner.Keys.ToArray();
        random.Shuffle<SampleId>(arrivals);
        var waiting = new HashSet<SampleId>();
        var taken = new List<SampleId>();
        foreach (var arrival in arrivals)
        {
            composer.MarkReady(arrival);
            composer.MarkReady(arrival);
            waiting.Add(arrival);
            if (random.NextInt32(3) == 0 && arrival != arrivals[^1])
            {
                continue;
            }

            while (composer.TryCompose() is { } batch)
            {
                Assert.Subset(waiting, batch.ToHashSet());
                if (batch.Length > 1)
                {
                    var readyClients = waiting.Select(id => owner[id]).Distinct().Count();
                    Assert.True(readyClients == 1 || batch.Select(id => owner[id]).Distinct().Count() > 1);
                }

                waiting.ExceptWith(batch);
                taken.AddRange(batch);
                Assert.True(batch.Length == batchSize || taken.Count == count);
            }

            Assert.True(waiting.Count < batchSize);
        }

        Assert.Equal(owner.Keys.Order(), taken.Order());
        Assert.Equal(0, composer.Remaining);
    });

    [Fact]
    public void TryCompose_AllReady_TakesFromEachClientInProportion()
    {
        var owner = Enumerable.Range(0, 800).ToDictionary(SampleId.Training, row => row < 600 ? "big" : row < 750 ? "middle" : "small");
        var composer = Ready(owner, 32);
        var taken = new Dictionary<string, int> { ["big"] = 0, ["middle"] = 0, ["small"] = 0 };
        for (var step = 1; composer.TryCompose() is { } batch; step++)
        {
            foreach (var id in batch)
            {
                taken[owner[id]]++;
            }

            foreach (var (client, total) in new[] { ("big", 600), ("middle", 150), ("small", 50) })
            {
                Assert.InRange(taken[client] - (step * 32.0 * total / 800), -2, 2);
            }
        }

        Assert.Equal(800, taken.Values.Sum());
    }

    [Fact]
    public void TryCompose_OneClientHoldsNearlyAll_IsStillMixed()
    {
        var owner = Enumerable.Range(0, 1001).ToDictionary(SampleId.Training, row => row == 500 ? "one" : "many");
        var batch = Ready(owner, 8).TryCompose()!;
        Assert.Contains(SampleId.Training(500), batch);
    }

    [Fact]
    public void TryCompose_SlowClientHasNothingReady_TakesTheOthers()
    {
        var owner = Enumerable.Range(0, 100).ToDictionary(SampleId.Training, row => row < 90 ? "slow" : "fast");
        var composer = new AvailableComposer([.. owner.Keys], id => owner[id], 8, new HashSet<SampleId>());
        foreach (var (id, _) in owner.Where(pair => pair.Value == "fast"))
        {
            composer.MarkReady(id);
        }

        Assert.Equal(8, composer.TryCompose()!.Length);
        Assert.Null(composer.TryCompose());
    }

    [Fact]
    public void Constructor_SamplesComposedBefore_AreNotTakenAgain()
    {
        var owner = Enumerable.Range(0, 10).ToDictionary(SampleId.Training, _ => "c");
        var before = owner.Keys.Take(4).ToHashSet();
        var composer = new AvailableComposer([.. owner.Keys], id => owner[id], 100, before);
        foreach (var id in owner.Keys)
        {
            composer.MarkReady(id);
        }

        Assert.Equal(owner.Keys.Skip(4), composer.TryCompose()!);
    }

    private static AvailableComposer Ready(Dictionary<SampleId, string> owner, int batchSize)
    {
        var composer = new AvailableComposer([.. owner.Keys], id => owner[id], batchSize, new HashSet<SampleId>());
        foreach (var id in owner.Keys)
        {
            composer.MarkReady(id);
        }

        return composer;
    }
}
