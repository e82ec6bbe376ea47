using SplitFrozen.Contracts.Messages;
using SplitFrozen.Coordinator.Devices;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class ClientDealerTests
{
    private static readonly Dictionary<string, string> s_none = [];

    [Theory]
    [InlineData(7, 3)]
    [InlineData(1, 4)]
    [InlineData(12, 4)]
    public void Deal_NobodyServed_IsEven(int clients, int devices)
    {
        var dealt = Deal(clients, s_none, Names(devices));
        Assert.Equal(clients + 1, dealt.Count);
        var loads = Names(devices).Select(name => dealt.Values.Count(device => device == name)).ToArray();
        Assert.InRange(loads.Max() - loads.Min(), 0, 1);
    }

    [Fact]
    public void Deal_DeviceGoes_MovesItsClientsOnly()
    {
        var before = Deal(8, s_none, Names(3));
        var after = Deal(8, before, ["d0", "d2"]);
        Assert.All(before.Where(client => client.Value != "d1"), client => Assert.Equal(client.Value, after[client.Key]));
        Assert.DoesNotContain("d1", after.Values);
        Assert.InRange(after.Values.Count(device => device == "d0"), 4, 5);
    }

    [Fact]
    public void Deal_DeviceComes_TakesClientsOnlyWhereBalanceIsAskedFor()
    {
        var before = Deal(7, s_none, ["d0"]);
        Assert.Equal(before, Deal(7, before, ["d0", "d1"]));
        var balanced = Deal(7, before, ["d0", "d1"], rebalance: true);
        Assert.Equal(4, balanced.Values.Count(device => device == "d1"));
        Assert.Equal(balanced, Deal(7, balanced, ["d0", "d1"], rebalance: true));
    }

    [Fact]
    public void Deal_DeviceAwaited_KeepsItsClientsAndNobodyAliveGivesNothing()
    {
        var before = Deal(5, s_none, Names(2));
        Assert.Equal(before, ClientDealer.Deal(Clients(5), before, ["d0"], device => device == "d1", rebalance: false));
        Assert.Empty(Deal(5, before, []));
    }

    private static string[] Clients(int count) => [.. Enumerable.Range(0, count).Select(ClientNames.Of), ClientNames.Evaluation];

    private static string[] Names(int devices) => [.. Enumerable.Range(0, devices).Select(n => $"d{n}")];

    private static IReadOnlyDictionary<string, string> Deal(int clients, IReadOnlyDictionary<string, string> current, string[] live, bool rebalance = false) =>
        ClientDealer.Deal(Clients(clients), current, live, _ => false, rebalance);
}
