using Microsoft.Extensions.Time.Testing;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Coordinator.Devices;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class DeviceRegistryTests
{
    private static readonly DeviceProfile s_profile = new(1, 2, 3);

    [Fact]
    public void Heard_LeaseEndsLeavesAndComesBack_IsAliveInBetweenOnly()
    {
        var time = new FakeTimeProvider();
        var registry = new DeviceRegistry(time, TimeSpan.FromSeconds(10));
        Assert.True(registry.MayCome("a"));
        registry.Heard(new DeviceAlive("a", "1", s_profile, Leaving: false));
        Assert.False(registry.MayCome("a"));
        time.Advance(TimeSpan.FromSeconds(9));
        Assert.Equal("a", Assert.Single(registry.Live).Device);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Empty(registry.Live);
        Assert.False(Assert.Single(registry.Devices).IsAlive);
        Assert.False(registry.MayCome("b"));

        registry.Heard(new DeviceAlive("a", "2", s_profile, Leaving: false));
        Assert.Equal("2", Assert.Single(registry.Live).Instance);
        registry.Heard(new DeviceAlive("a", "2", s_profile, Leaving: true));
        Assert.Empty(registry.Live);
    }

    [Fact]
    public void Heard_LongGone_IsForgotten()
    {
        var time = new FakeTimeProvider();
        var registry = new DeviceRegistry(time, TimeSpan.FromSeconds(10));
        registry.Heard(new DeviceAlive("a", "1", s_profile, Leaving: false));
        time.Advance(TimeSpan.FromHours(2));
        registry.Heard(new DeviceAlive("b", "1", s_profile, Leaving: false));
        Assert.Equal("b", Assert.Single(registry.Devices).Device);
    }
}
