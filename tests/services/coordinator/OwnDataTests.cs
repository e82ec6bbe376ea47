using System.Collections.Concurrent;
using System.Net.Http.Json;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>Runs whose clients are devices with data of their own.</summary>
public sealed class OwnDataTests : HostedRun
{
    private static RunSpec DevicesSpec(int count, string missing = "stop") => Spec() with
    {
        Task = Spec().Task with { Train = "", Classes = ["a", "b", "c"] },
        Clients = new ClientsSpec { Count = count, Partition = ClientPartitions.Devices, Missing = missing },
    };

    [Fact]
    public async Task Run_DevicesWithDataOfTheirOwn_AreItsClientsAndTheHeldOutRowsGoElsewhere()
    {
        var host = await HostAsync();
        var (plain, a, b) = (Device("plain"), Own("a", 20), Own("b", 13));
        var runId = await SubmitAsync(host, DevicesSpec(2));
        await FinishAsync(host, runId);

        var run = await host.RunAsync(runId);
        Assert.Equal([("a", "a"), ("b", "b"), ("evaluation", "plain")], run.Clients.Select(client => (client.ClientId, client.Device!)));
        Assert.All(run.Clients, client => Assert.NotEmpty(client.CutReason));
        Assert.Equal(["a"], Assert.Single(a.Dealt.Distinct(ByContent.Instance)));
        Assert.Equal(["b"], Assert.Single(b.Dealt.Distinct(ByContent.Instance)));
        Assert.Equal(["evaluation"], Assert.Single(plain.Dealt.Distinct(ByContent.Instance)));
        AssertTrainedOnce([.. Rows("a", 20), .. Rows("b", 13)]);
        var devices = (await host.Client.GetFromJsonAsync<DeviceSummary[]>("/api/devices", ClusterApi.Json, Token))!;
        Assert.Equal([("a", true), ("b", true), ("plain", false)], devices.Select(device => (device.Device, device.HasOwnData)));
    }

    [Fact]
    public async Task Run_SimulatedClients_AreNeverDealtToDevicesWithDataOfTheirOwn()
    {
        var host = await HostAsync();
        var own = Own("a", 20);
        Device("plain");
        var runId = await SubmitAsync(host);
        await FinishAsync(host, runId);
        Assert.Empty(own.Dealt);
        Assert.All((await host.RunAsync(runId)).Clients, client => Assert.Equal("plain", client.Device));
    }

    [Fact]
    public async Task Run_TooFewDevices_WaitsForAnotherAndTakesNoMoreThanItsCount()
    {
        var host = await HostAsync();
        Device("plain");
        Own("b", 10);
        var runId = await SubmitAsync(host, DevicesSpec(2));
        await Deadline.UntilAsync(() => host.RunAsync(runId).GetAwaiter().GetResult().Summary.Status == RunStatus.Running, "a trainer has it");
        var (reached, gate) = StopTrainer(beforeSequence: 3);
        Own("c", 10);
        await reached;

        // Now that the run is planned it stays with these, also over another start of the coordinator.
        var late = Own("a", 10);
        await host.DisposeAsync();
        _owned.Remove(host);
        var second = await HostAsync();
        gate.SetResult();
        await FinishAsync(second, runId);
        Assert.Empty(late.Dealt);
        AssertTrainedOnce([.. Rows("b", 10), .. Rows("c", 10)]);
    }

    [Fact]
    public async Task Run_TooFewDevicesUntilTheDeadline_FailsAndNamesThoseThatAreThere()
    {
        var host = await HostAsync(("Coordinator:ClientDeadline", "00:00:00.5"));
        Device("plain");
        Own("b", 10);
        var runId = await SubmitAsync(host, DevicesSpec(2));
        using var limit = Deadline.Token();
        var reason = Assert.IsType<RunEndedEvent>((await host.EventsAsync(runId, after: null, limit.Token))[^1].Event).Reason;
        Assert.Contains("2 device workers with data of their own", reason, StringComparison.Ordinal);
        Assert.Contains("1 are there: b", reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_DeviceGoesAndComesBackWithItsData_IsServedByItAlone()
    {
        var host = await HostAsync();
        var never = new TaskCompletionSource();
        var lost = Own("a", 20, never.Task);
        var kept = Own("b", 20);
        Device("plain");
        var runId = await SubmitAsync(host, DevicesSpec(2));
        await Deadline.UntilAsync(() => !kept.Asked.IsEmpty, "work is under way");
        await KillAsync(lost);
        await Deadline.UntilAsync(
            () => host.Client.GetFromJsonAsync<DeviceSummary[]>("/api/devices", ClusterApi.Json, Token).GetAwaiter().GetResult()!.Any(device => !device.Alive), "its lease ends");
        Assert.Equal("a", (await host.RunAsync(runId)).Clients[0].Device);

        var bare = Device("a");
        await Deadline.UntilAsync(() => !bare.Dealt.IsEmpty, "it comes back without its data");
        await KillAsync(bare);
        var rejected = new ConcurrentQueue<MessageRejected>();
        using var seen = _control.Subscribe<MessageRejected>((message, _) =>
        {
            rejected.Enqueue(message);
            return ValueTask.CompletedTask;
        });
        var changed = Device("a", ownData: Rows("a", 20, content: 1));
        await Deadline.UntilAsync(() => !rejected.IsEmpty, "it comes back with other data");
        await KillAsync(changed);
        Own("a", 20);
        await FinishAsync(host, runId);
        Assert.All(bare.Dealt, Assert.Empty);
        Assert.Empty(changed.Asked);
        Assert.All(rejected, refusal => Assert.Equal(("a", true), (refusal.ClientId, refusal.Reason.Contains("other data", StringComparison.Ordinal))));
        Assert.All(kept.Dealt, clients => Assert.Equal(["b"], clients));
        AssertTrainedOnce([.. Rows("a", 20), .. Rows("b", 20)]);
    }

    [Fact]
    public async Task Run_DeviceGoneForGood_CompletesWithoutItsSamples()
    {
        var host = await HostAsync(("Coordinator:ClientDeadline", "00:00:02"));
        var lost = Own("a", 20, new TaskCompletionSource().Task);
        var kept = Own("b", 20);
        Device("plain");
        var runId = await SubmitAsync(host, DevicesSpec(2, "complete"));
        await Deadline.UntilAsync(() => !kept.Asked.IsEmpty, "work is under way");
        await KillAsync(lost);
        await FinishAsync(host, runId);
        Assert.Equal(20, (await host.RunAsync(runId)).Summary.FailedSamples);
        AssertTrainedOnce(Rows("b", 20));
    }

    private static SampleId[] Rows(string device, int count, ulong content = 0) =>
        [.. Enumerable.Range(0, count).Select(row => SampleId.OfDevice(device, row, new ContentDigest(content)))];

    private FakeDeviceWorker Own(string name, int rows, Task? gate = null) => Device(name, gate, Rows(name, rows));

    private void AssertTrainedOnce(SampleId[] expected)
    {
        for (var epoch = 0; epoch < 2; epoch++)
        {
            Assert.Equal(
                expected.Order(),
                _trainer.Applied.Where(step => step.Kind == StepKind.Train && step.Epoch == epoch).SelectMany(step => step.Samples).Select(sample => sample.Id).Order());
        }
    }

    private sealed class ByContent : IEqualityComparer<string[]>
    {
        public static ByContent Instance { get; } = new();

        public bool Equals(string[]? x, string[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(string[] obj) => obj.Length;
    }
}
