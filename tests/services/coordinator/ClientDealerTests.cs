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
    public void Deal_DevicesComeAndGo_EachHasItsShareAndTheOthersKeepTheirs()
    {
        var two = Deal(8, s_none, Names(2));
        var eight = Deal(8, two, Names(8));
        Assert.All(Names(8), device => Assert.InRange(Load(eight, device), 1, 2));
        Assert.Equal(6, eight.Count(client => client.Value != two[client.Key]));
        var three = Deal(8, eight, Names(3));
        Assert.All(Names(3), device => Assert.Equal(3, Load(three, device)));
        Assert.All(eight.Where(client => Names(3).Contains(client.Value)), client => Assert.Equal(client.Value, three[client.Key]));
        Assert.All(new[] { (two, 2), (eight, 8), (three, 3) }, dealt => Assert.Equal(dealt.Item1, Deal(8, dealt.Item1, Names(dealt.Item2))));
    }

    [Fact]
    public void Deal_DeviceAwaited_NobodyGivesAnyUpAndNobodyAliveGivesNothing()
    {
        var before = Deal(5, s_none, Names(2));
        Assert.Equal(before, ClientDealer.Deal(Clients(5), before, ["d0", "d2"], device => device == "d1"));
        Assert.NotEqual(before, ClientDealer.Deal(Clients(5), before, ["d0", "d2"], _ => false));
        Assert.Empty(Deal(5, before, []));
    }

    private static string[] Clients(int count) => [.. Enumerable.Range(0, count).Select(ClientNames.Of), ClientNames.Evaluation];

    private static string[] Names(int devices) => [.. Enumerable.Range(0, devices).Select(n => $"d{n}")];

    private static int Load(IReadOnlyDictionary<string, string> dealt, string device) => dealt.Values.Count(serving => serving == device);

    private static IReadOnlyDictionary<string, string> Deal(int clients, IReadOnlyDictionary<string, string> current, string[] live) =>
        ClientDealer.Deal(Clients(clients), current, live, _ => false);
}
