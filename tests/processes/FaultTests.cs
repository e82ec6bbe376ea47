using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SplitFrozen.Contracts.Api;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>What befalls the things between and below the processes: the cache's data, the wire, the queues, the disk.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class FaultTests : ClusterTests
{
    [Theory]
    [InlineData("planned")]
    [InlineData("available")]
    public async Task CacheLosesAllItsData_RunGoesOnAndTrainsExactlyOnce(string order)
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 2 });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder, order), Token);
        await StepAsync(cluster, run, 6);
        Assert.SkipWhen(cluster.Redis.ControlSkipReason is not null, cluster.Redis.ControlSkipReason ?? "");
        await cluster.Redis.KillAsync();
        cluster.Redis.WipeData();
        await cluster.Redis.StartAsync(Token);
        await AssertFinishedAsync(cluster, run, order);
    }

    [Fact]
    public async Task ConnectionsCutDelayedAndHalfOpen_RunGivesTheSameAdapter()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 2, Proxied = true });
        var (broker, redis) = (cluster.BrokerProxy!, cluster.RedisProxy!);
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 2);
        broker.Cut();
        redis.Cut();
        await StepAsync(cluster, run, 6);
        (broker.Delay, redis.Delay) = (TimeSpan.FromMilliseconds(30), TimeSpan.FromMilliseconds(10));
        await StepAsync(cluster, run, 9);
        (broker.Delay, redis.Delay) = (TimeSpan.Zero, TimeSpan.Zero);

        // Half-open: both sides believe in a connection through which nothing passes. They give it up by themselves and come again.
        var before = broker.Accepted;
        broker.Blackhole();
        await cluster.UntilAsync(() => Task.FromResult(broker.Accepted > before), () => "a service gives a dead connection up", Token);
        broker.Resume();
        await StepAsync(cluster, run, 14);
        redis.Refuse();
        broker.Cut();
        await cluster.UntilAsync(async () => await cluster.RunAsync(run, Token) is null, () => "the coordinator notices that the store is away", Token);
        redis.Resume();
        await AssertFinishedAsync(cluster, run);
    }

    [Theory]
    [InlineData("planned")]
    [InlineData("available")]
    public async Task DeliveriesDoubledReorderedAndReplayed_RunTrainsExactlyOnce(string order)
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 2 });
        await using var raw = await RawBroker.ConnectAsync(cluster.Broker.ConnectionString, Token);
        await cluster.Devices[0].KillAsync();
        await cluster.Devices[1].KillAsync();
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder, order), Token);
        var (activations, steps) = (0, 0);
        await raw.DoubleAsync(RawBroker.Activations, Enumerable.Range(1, 8).Select(n => $"{run}.client-{n}"), group: 5, count => activations = count, Token);
        await raw.DoubleAsync(RawBroker.Steps, [run], group: 3, count => steps = count, Token);
        cluster.Devices[0].Start();
        cluster.Devices[1].Start();
        await AssertFinishedAsync(cluster, run, order);
        Assert.True(activations >= 8 && steps >= SampleRun.Steps, $"{activations} activation and {steps} step messages were doubled");
    }

    [Fact]
    public async Task QueueAtItsLimit_DeviceWaitsAndNothingIsLost()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1, Settings = new Dictionary<string, string> { ["Transport__QueueBytes"] = "65536" } });
        await using var raw = await RawBroker.ConnectAsync(cluster.Broker.ConnectionString, Token);
        await cluster.Devices[0].KillAsync();
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        var channel = await raw.ChannelAsync(Token);
        await channel.ExchangeDeclareAsync(RawBroker.Activations, ExchangeType.Topic, durable: true, cancellationToken: Token);
        var queue = $"{RawBroker.Activations}.{run}.client-1";
        var key = $"{run}.client-1";
        await channel.QueueDeclareAsync(
            queue, durable: true, exclusive: false, autoDelete: false,
            new Dictionary<string, object?>
            {
                ["x-queue-type"] = "classic", ["x-overflow"] = "reject-publish", ["x-dead-letter-exchange"] = "splitfrozen.dead-letters",
                ["x-single-active-consumer"] = true, ["x-max-length"] = 1024, ["x-max-length-bytes"] = 65536,
            },
            cancellationToken: Token);
        await channel.QueueBindAsync(queue, RawBroker.Activations, key, cancellationToken: Token);

        // The first consumer is the active one, and this one takes a message only to hold it: the queue fills behind it.
        await channel.BasicQosAsync(0, 1, global: false, Token);
        await channel.BasicConsumeAsync(queue, autoAck: false, new HoldingConsumer(channel), Token);
        cluster.Devices[0].Start();
        await cluster.UntilAsync(
            async () => (await channel.QueueDeclarePassiveAsync(queue, Token)).MessageCount >= 2, () => "the device fills the queue", Token);
        var beyond = await Assert.ThrowsAnyAsync<PublishException>(async () =>
        {
            while (true)
            {
                await channel.BasicPublishAsync(RawBroker.Activations, key, mandatory: false, new BasicProperties { UserId = "guest" }, new byte[20_000], Token);
            }
        });
        Assert.False(beyond.IsReturn, "the queue is at its limit, and is there");
        await channel.CloseAsync(Token);
        await AssertFinishedAsync(cluster, run);
    }

    [Fact]
    public async Task DiskUnderTheCheckpointFull_RunFailsWithTheReasonAndGoesOnWhenThereIsRoom()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1 });
        var runs = Directory.CreateDirectory(Path.Combine(cluster.Folder, "runs")).FullName;
        await using var disk = await SmallDisk.MountAsync(runs, "32m", Token);
        Assert.SkipWhen(disk is null, "A small file system cannot be mounted here.");
        await cluster.Services.Single(service => service.Name == "trainer").KillAsync();
        cluster.Services.Single(service => service.Name == "trainer").Start();
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 5);
        var filler = Path.Combine(runs, "filler");
        await SmallDisk.FillAsync(filler, Token);
        var failed = await cluster.EndAsync(run, Token);
        Assert.Equal(RunStatus.Failed, failed.Summary.Status);
        Assert.Contains("No space left on device", failed.Summary.Reason, StringComparison.Ordinal);
        Assert.Contains(run, failed.Summary.Reason, StringComparison.Ordinal);

        File.Delete(filler);
        await ResumeAsync(cluster, run);
        await AssertFinishedAsync(cluster, run);
    }

    private sealed class HoldingConsumer(IChannel channel) : AsyncDefaultBasicConsumer(channel);
}
