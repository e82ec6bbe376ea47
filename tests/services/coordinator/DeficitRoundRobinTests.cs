using CsCheck;
using SplitFrozen.Coordinator;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class DeficitRoundRobinTests
{
    private const int Quantum = 1000;

    [Fact]
    public void TryNext_ClientsWithBacklog_ServesBytesInProportionToWeight() => Gen.Select(
        Gen.Double[0.2, 5].Array[2, 6], Gen.Int[1, 5000], Gen.Int[1, 2000].Array[50]).Sample((weights, largest, sizes) =>
    {
        var scheduler = WithClients(weights);
        var served = new double[weights.Length];
        var biggest = 0;
        for (var n = 0; n < 3000; n++)
        {
            Assert.True(scheduler.TryNext(out var client));
            var size = 1 + (sizes[(n + client) % sizes.Length] % largest);
            biggest = Math.Max(biggest, size);
            served[client] += size;
            scheduler.Charge(client, size);
            for (var i = 0; i < weights.Length; i++)
            {
                for (var j = 0; j < i; j++)
                {
                    var bound = (2.0 * Math.Max(Quantum, biggest)) + (biggest / weights[i]) + (biggest / weights[j]) + 1e-6;
                    Assert.InRange((served[i] / weights[i]) - (served[j] / weights[j]), -bound, bound);
                }
            }
        }
    }, iter: 40);

    [Fact]
    public void TryNext_MessagesLargerThanTheQuantum_TurnsAreStillShort()
    {
        var scheduler = WithClients([1, 1]);
        var turns = new List<int>();
        for (var n = 0; n < 40; n++)
        {
            Assert.True(scheduler.TryNext(out var client));
            turns.Add(client);
            scheduler.Charge(client, 1000 * Quantum);
        }

        // From the second message on the quantum is as large: nobody waits through a thousand rounds, and turns alternate.
        Assert.All(turns.Chunk(2).Skip(1), pair => Assert.NotEqual(pair[0], pair[1]));
    }

    [Fact]
    public void TryNext_OneClientFloods_OthersWaitAtMostOneRound()
    {
        var scheduler = WithClients([1, 1]);
        for (var n = 0; n < 10_000; n++)
        {
            Assert.True(scheduler.TryNext(out var client));
            if (client == 1)
            {
                scheduler.Deactivate(1);
            }
            else
            {
                scheduler.Charge(0, 100);
            }
        }

        scheduler.Activate(1);
        var servedFirst = 0;
        while (scheduler.TryNext(out var client) && client == 0)
        {
            scheduler.Charge(0, 100);
            servedFirst += 100;
        }

        Assert.InRange(servedFirst, 0, Quantum + 100);
    }

    [Fact]
    public void Deactivate_ClientInDebt_PaysItBack()
    {
        var scheduler = WithClients([1, 1]);
        scheduler.TryNext(out var debtor);
        scheduler.Charge(debtor, 10 * Quantum);
        scheduler.Deactivate(debtor);
        scheduler.Activate(debtor);
        var other = 0L;
        while (scheduler.TryNext(out var client) && client != debtor)
        {
            scheduler.Charge(client, Quantum);
            other += Quantum;
        }

        Assert.InRange(other, 9 * Quantum, 11 * Quantum);
    }

    [Fact]
    public void TryNext_EmptyMessages_TurnStillPasses()
    {
        var scheduler = WithClients([1, 1]);
        var seen = new HashSet<int>();
        for (var n = 0; n <= Quantum; n++)
        {
            scheduler.TryNext(out var client);
            scheduler.Charge(client, 0);
            seen.Add(client);
        }

        Assert.Equal(2, seen.Count);
    }

    [Fact]
    public void TryNext_NobodyActive_IsFalse()
    {
        var scheduler = WithClients([1]);
        scheduler.Deactivate(0);
        Assert.False(scheduler.TryNext(out _));
        Assert.Equal(0, scheduler.ActiveCount);
    }

    private static DeficitRoundRobin<int> WithClients(double[] weights)
    {
        var scheduler = new DeficitRoundRobin<int>(Quantum);
        for (var i = 0; i < weights.Length; i++)
        {
            scheduler.SetWeight(i, weights[i]);
            scheduler.Activate(i);
        }

        return scheduler;
    }
}
