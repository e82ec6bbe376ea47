using System.Globalization;
using System.Text.Json.Nodes;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>A device that turned against the run, with the broker credentials that it has: what it sends is refused, told, and harms nobody.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class HostileDeviceTests : ClusterTests
{
    /// <summary>The client that the hostile device is, and its login.</summary>
    private const string Self = "client-3";

    private const string DeadLetters = "splitfrozen.dead-letters";
    private const string Password = "secret";

    /// <summary>A memory bound with room for what the runtime keeps for itself; a body per flood message would need far more.</summary>
    private const long MemoryGrowth = 256L << 20;

    private static readonly (string Name, string Reason, Func<byte[], byte[]> Make)[] s_bodies =
    [
        ("not safetensors", "header", _ => [.. Enumerable.Range(0, 300).Select(i => (byte)(i * 37))]),
        ("empty", "too few", _ => []),
        ("cut off", "cut off", honest => honest[..^1]),
        ("header over its bound", "header", honest => new HostileBody(honest).ToBytes(padding: 1 << 17)),
        ("header of a petabyte", "header", honest => [0, 0, 0, 0, 0, 0, 4, 0, .. honest[8..]]),
        ("overlapping tensors", "overlap", honest => Changed(honest, body => body.Tensor("lengths")["data_offsets"] = body.Tensor("labels")["data_offsets"]!.DeepClone())),
        ("tensor out of range", "'lengths'", honest => Changed(honest, body => body.Tensor("lengths")["data_offsets"] = new JsonArray(1 << 30, (1 << 30) + 4))),
        ("wrong element type", "element type F32", honest => Changed(honest, body => body.Tensor("labels")["dtype"] = "F32")),
        ("wrong wire type", "The wire type is 'bf16'", honest => Changed(honest, body => body.Tensor("hidden_states")["dtype"] = "BF16")),
        ("wrong rank", "rank 3", honest => Changed(honest, body => body.Tensor("hidden_states")["shape"]!.AsArray().Add(1))),
        ("NaN", "NaN", honest => Changed(honest, body => body.Values<ushort>("hidden_states")[5] = 0x7E00)),
        ("infinity", "infinity", honest => Changed(honest, body => body.Values<ushort>("hidden_states")[5] = 0x7C00)),
        ("another model", "another model", honest => Changed(honest, body => body.Metadata["fingerprint"] = new string('a', 64))),
        ("another run", "The run is 'other'", honest => Changed(honest, body => body.Metadata["run"] = "other")),
        ("another client", "The client is 'client-4'", honest => Changed(honest, body => body.Metadata["client"] = "client-4")),
        ("unknown sample", "is not in the manifest", honest => Changed(honest, body => body.Values<long>("sample_ids")[0] = 123_456)),
        ("label out of range", "The label 7 is not in [0, 2)", honest => Changed(honest, body => body.Values<int>("labels")[0] = 7)),
        ("negative length", "length -1", honest => Changed(honest, body => body.Values<int>("lengths")[0] = -1)),
        ("wrong checksum", "damaged", honest => [.. honest[..^1], (byte)(honest[^1] ^ 1)]),
    ];

    [Fact]
    public async Task HostileBodies_AreDeadLettersWithTheirReasons_AndTheRunGivesTheSameAdapter()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1 }, ownBroker: true);
        await using var admin = await RawBroker.ConnectAsync(cluster.Broker.ConnectionString, Token);
        var (run, honest) = await StartHeldAsync(cluster, admin);
        await using var hostile = await ConnectHostileAsync(cluster);
        var channel = await hostile.ChannelAsync(Token);
        foreach (var (_, _, make) in s_bodies)
        {
            await PublishAsync(channel, run, Self, make(honest));
        }

        // Its own login opens no other client's queue, and no message is taken from nobody.
        await PublishAsync(channel, run, "client-4", honest);
        await PublishAsync(channel, run, Self, honest, user: null);

        // A message larger than the whole queue never enters; a login that is not its own closes its channel.
        await Assert.ThrowsAnyAsync<PublishException>(() => PublishAsync(channel, run, Self, new byte[17 << 20]));
        await Assert.ThrowsAnyAsync<Exception>(() => PublishAsync(channel, run, Self, honest, user: "guest"));

        var letters = new List<(string Client, string Reason)>();
        await cluster.UntilAsync(
            async () =>
            {
                letters.AddRange(await TakeLettersAsync(admin, run));
                return letters.Count >= s_bodies.Length + 2;
            },
            () => $"all are dead letters: {string.Join("\n", letters)}", Token);
        Assert.All(s_bodies, body => Assert.Contains(letters, letter => letter.Client == Self && letter.Reason.Contains(body.Reason, StringComparison.Ordinal)));
        Assert.Contains(letters, letter => letter.Reason == $"User '{Self}' may not publish for client 'client-4'.");
        Assert.Contains(letters, letter => letter.Reason == "The message has no user-id: its sender is not known.");
        Assert.Equal(s_bodies.Length + 2, letters.Count);

        Trainer(cluster).Start();
        await AssertFinishedAsync(cluster, run);
        var (_, watched, _) = await cluster.CommandAsync(Token, "watch", run, "--json");
        Assert.Contains("\"message_rejected\"", watched, StringComparison.Ordinal);
    }

    [Fact]
    public async Task FloodOfTinyBodies_MemoryStaysBoundedAndTheRunGivesTheSameAdapter()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable("SPLITFROZEN_TEST_FLOOD") ?? "1000000", CultureInfo.InvariantCulture);
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1 }, ownBroker: true);
        await using var admin = await RawBroker.ConnectAsync(cluster.Broker.ConnectionString, Token);
        var (run, _) = await StartHeldAsync(cluster, admin);
        Trainer(cluster).Start();
        var coordinator = cluster.Services.Single(service => service.Name == "coordinator");
        var before = coordinator.PeakMemory;

        await using var hostile = await ConnectHostileAsync(cluster);
        var channel = await hostile.UnconfirmedChannelAsync(Token);
        var properties = new BasicProperties { UserId = Self };
        var most = 0u;
        for (var n = 0; n < count; n++)
        {
            await channel.BasicPublishAsync(RawBroker.Activations, $"{run}.{Self}", mandatory: false, properties, new byte[] { (byte)n }, Token);
            if (n % 50_000 == 0)
            {
                most = Math.Max(most, await admin.CountAsync(DeadLetters, Token));
            }
        }

        await AssertFinishedAsync(cluster, run);
        Assert.InRange(coordinator.PeakMemory - before, 0, MemoryGrowth);
        Assert.InRange(await admin.CountAsync(DeadLetters, Token), 1u, 8192u);
        Assert.InRange(most, 0u, 8192u);
        var (_, watched, _) = await cluster.CommandAsync(Token, "watch", run, "--json");
        Assert.InRange(watched.Split('\n').Count(line => line.Contains("\"message_rejected\"", StringComparison.Ordinal)), 1, 64);
    }

    private static Service Trainer(Cluster cluster) => cluster.Services.Single(service => service.Name == "trainer");

    private static byte[] Changed(byte[] honest, Action<HostileBody> change)
    {
        var body = new HostileBody(honest);
        change(body);
        return body.ToBytes();
    }

    /// <summary>A run that is planned and takes activations in, while its trainer is away; and an honest body of the hostile client.</summary>
    private static async Task<(string Run, byte[] Honest)> StartHeldAsync(Cluster cluster, RawBroker admin)
    {
        await cluster.Devices[0].KillAsync();
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        var first = await admin.FirstAsync(RawBroker.Activations, $"{run}.{Self}", Token);
        cluster.Devices[0].Start();
        var honest = await first.WaitAsync(Token);
        await Trainer(cluster).KillAsync();
        return (run, honest);
    }

    private static async Task<RawBroker> ConnectHostileAsync(Cluster cluster)
    {
        await cluster.Broker.AddUserAsync(Self, Password, Token, configure: "^$", write: @"^splitfrozen\.activations$", read: "^$");
        return await RawBroker.ConnectAsync(cluster.Broker.ConnectionStringFor(Self, Password), Token);
    }

    private static async Task PublishAsync(IChannel channel, string run, string client, byte[] body, string? user = Self)
    {
        var properties = new BasicProperties { MessageId = Guid.NewGuid().ToString() };
        if (user is not null)
        {
            properties.UserId = user;
        }

        await channel.BasicPublishAsync(RawBroker.Activations, $"{run}.{client}", mandatory: true, properties, body, Token);
    }

    private static async Task<IReadOnlyList<(string Client, string Reason)>> TakeLettersAsync(RawBroker admin, string run)
    {
        var letters = new List<(string, string)>();
        var channel = await admin.ChannelAsync(Token);
        await using (channel)
        {
            while (await channel.BasicGetAsync(DeadLetters, autoAck: true, Token) is { } letter)
            {
                Assert.Equal(run, Header(letter, "splitfrozen-run"));
                letters.Add((Header(letter, "splitfrozen-client"), Header(letter, "splitfrozen-reason")));
            }
        }

        return letters;

        static string Header(BasicGetResult letter, string name) => System.Text.Encoding.UTF8.GetString((byte[])letter.BasicProperties.Headers![name]!);
    }
}
