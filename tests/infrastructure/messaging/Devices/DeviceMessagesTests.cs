using System.Text;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging.Devices;

namespace SplitFrozen.Messaging.Tests.Devices;

/// <summary>What an enrolled device may say, and what it may not.</summary>
public sealed class DeviceMessagesTests
{
    private static readonly DeviceProfile s_profile = new(12.5, 1 << 30, 1e6);

    [Fact]
    public async Task DecodeReport_WhatADeviceSays_ReachesTheControlPlaneAsItWas()
    {
        var manifest = new ManifestEntry[] { new(SampleId.OfDevice("pi-3", 7, new ContentDigest(9)), 12, new ContentDigest(UInt128.MaxValue)) };
        await AssertRelayedAsync(new DeviceAlive("pi-3", "start-1", s_profile, Leaving: false, HasOwnData: true));
        await AssertRelayedAsync(new WorkFinished("run", "pi-3", 4));
        await AssertRelayedAsync(new DeviceProgress("run", "pi-3", 8, 200, 1L << 40, 1 << 20, TimeSpan.FromMilliseconds(20)));
        var registered = await AssertRelayedAsync(new ClientRegistered("run", "pi-3", "start-1", "f00d", 2, manifest, s_profile), compare: false);
        Assert.Equal(manifest, registered.Manifest);
    }

    [Theory]
    [InlineData("DeviceAlive", """{"device":"other","instance":"1","profile":{"gigaflopsPerSecond":1,"memoryBytes":1,"uplinkBytesPerSecond":1},"leaving":false,"hasOwnData":true}""", "speaks for 'other'")]
    [InlineData("DeviceAlive", """{"device":"pi-3","instance":"1","profile":{"gigaflopsPerSecond":1,"memoryBytes":1,"uplinkBytesPerSecond":1},"leaving":false}""", "holds none")]
    [InlineData("DeviceAlive", """{"device":"pi-3","instance":"1","profile":{"gigaflopsPerSecond":"NaN","memoryBytes":1,"uplinkBytesPerSecond":1},"hasOwnData":true}""", "Profile")]
    [InlineData("DeviceAlive", """{"device":"pi-3","instance":"1","hasOwnData":true}""", "Profile is missing")]
    [InlineData("DeviceAlive", """{"device":"pi-3","instance":"a\nb","hasOwnData":true}""", "Instance")]
    [InlineData("DeviceAlive", "null", "null")]
    [InlineData("DeviceAlive", "{", "is no DeviceAlive")]
    [InlineData("DeviceAlive", """{"device":7}""", "is no DeviceAlive")]
    [InlineData("ClientRegistered", """{"runId":"run","clientId":"pi-30","instance":"1","modelFingerprint":"f","cut":1,"manifest":""}""", "speaks for 'pi-30'")]
    [InlineData("ClientRegistered", """{"runId":"run","clientId":"pi-3","instance":"1","modelFingerprint":"f","cut":1}""", "Manifest is missing")]
    [InlineData("ClientRegistered", """{"runId":"run","clientId":"pi-3","instance":"1","modelFingerprint":"f","cut":-1,"manifest":""}""", "Cut is -1")]
    [InlineData("ClientRegistered", """{"runId":"run","clientId":"pi-3","instance":"1","modelFingerprint":"f","cut":1,"manifest":"AAAA"}""", "is no ClientRegistered")]
    [InlineData("WorkFinished", """{"clientId":"pi-3","sequence":1}""", "RunId")]
    [InlineData("DeviceProgress", """{"runId":"run","clientId":"pi-3","samples":-1}""", "negative")]
    [InlineData("RunFailed", """{"runId":"run","reason":"because"}""", "does not say 'RunFailed'")]
    [InlineData("ClientsAssigned", "{}", "does not say")]
    [InlineData(null, "{}", "does not say ''")]
    public void DecodeReport_WhatADeviceMayNotSay_IsRefusedWithItsReason(string? kind, string body, string reason)
    {
        var (report, why) = DeviceMessages.DecodeReport(kind, "pi-3", Encoding.UTF8.GetBytes(body));
        Assert.Null(report);
        Assert.Contains(reason, why, StringComparison.Ordinal);
    }

    [Fact]
    public void DecodeReport_LongTexts_AreNotRepeatedInFull()
    {
        var name = new string('x', 100_000);
        Assert.InRange(DeviceMessages.DecodeReport(name, "pi-3", []).Reason!.Length, 1, 400);
        Assert.InRange(DeviceMessages.DecodeReport("WorkFinished", "pi-3", Encoding.UTF8.GetBytes($$"""{"runId":"run","clientId":"{{name}}"}""")).Reason!.Length, 1, 400);
    }

    [Fact]
    public void DecodeOrder_AnEnvelopeOfAnotherKind_IsPassedOver()
    {
        Assert.Null(DeviceMessages.DecodeOrder("""{"messageType":["urn:message:Somewhere:Else"],"message":{}}"""u8).Order?.Message);
        Assert.NotNull(DeviceMessages.DecodeOrder("{"u8).Reason);
    }

    private static async Task<TMessage> AssertRelayedAsync<TMessage>(TMessage message, bool compare = true)
        where TMessage : class
    {
        var (report, reason) = DeviceMessages.DecodeReport(typeof(TMessage).Name, "pi-3", DeviceMessages.EncodeReport(message));
        Assert.Null(reason);
        var control = new InProcessControlPlane();
        var heard = new TaskCompletionSource<TMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var subscription = control.Subscribe<TMessage>((relayed, _) =>
        {
            heard.TrySetResult(relayed);
            return ValueTask.CompletedTask;
        });
        await report!.PublishAsync(control, TestContext.Current.CancellationToken);
        var relayed = await heard.Task.WaitAsync(TestContext.Current.CancellationToken);
        if (compare)
        {
            Assert.Equal(message, relayed);
        }

        return relayed;
    }
}
