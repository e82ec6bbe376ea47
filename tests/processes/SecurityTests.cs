using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using System.Text.Json;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SplitFrozen.Contracts.Api;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>
/// Broker and cache over TLS alone, three devices with logins of their own, and a fourth login in the hands of somebody who tries what it does not
/// allow, while a run goes on.
/// </summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class SecurityTests : ClusterTests, IDisposable
{
    private const string Intruder = "intruder";
    private const string Reports = "splitfrozen.reports";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-security-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Run_WhileADeviceTriesWhatItMayNot_EachIsRefusedAndLoggedAndTheRunUndisturbed()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 4, OwnData = SampleRun.OwnFiles(_folder.FullName), Secured = true });
        await cluster.EnrollAsync(Intruder, Token);
        var run = await cluster.SubmitAsync(SampleRun.WriteForDevices(cluster.Folder, "stop"), Token, "--set", "cache.max_bytes=1048576");
        await StepAsync(cluster, run, 1);

        await using (var intruder = await RawBroker.ConnectAsync(AddressOf(cluster, Intruder), Token, cluster.Authority))
        {
            var attempts = Attempts(run).ToArray();
            foreach (var (what, attempt) in attempts)
            {
                Assert.True(await IsRefusedAsync(intruder, attempt), $"Not refused: {what}.");
            }

            // The broker writes its log a moment later.
            await cluster.UntilAsync(
                () => Task.FromResult(CountOf(cluster.Broker.Log, $"refused for user '{Intruder}'") == attempts.Length - 1
                    && CountOf(cluster.Broker.Log, $"user_id property set to 'device-1' but authenticated user was '{Intruder}'") == 1),
                () => $"the broker logs each refusal: {cluster.Broker.Log}", Token);
            await AssertGatewayRefusesAsync(cluster, intruder);
            await AssertCopyToAnotherIsRefusedAsync(cluster, intruder, run);
            await AssertRevokedAsync(cluster, intruder);
        }

        await AssertOnlyOverTlsAsync(cluster);
        var ended = await cluster.EndAsync(run, Token);
        Assert.True(ended.Summary.Status == RunStatus.Finished, $"{ended.Summary}\n{cluster.Logs()}");
        Assert.Equal(
            [("device-1", "device-1"), ("device-2", "device-2"), ("device-3", "device-3"), ("evaluation", "device-4")],
            ended.Clients.Select(client => (client.ClientId, client.Device!)));

        // Nobody disturbs this one, of the same devices and data.
        var quiet = await cluster.SubmitAsync(SampleRun.WriteForDevices(cluster.Folder, "stop"), Token);
        Assert.Equal(await AdapterAsync(cluster, quiet), await AdapterAsync(cluster, run));
    }

    [Fact]
    public async Task Device_WithAKitThatItShouldNotHave_SaysWhatIsWrongAndEnds()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 1, OwnData = SampleRun.OwnFiles(_folder.FullName)[..1], Secured = true, Trainer = false });
        var device = cluster.Devices[0];
        await cluster.UntilAsync(
            async () => (await cluster.CommandAsync(Token, "devices", "--json")).Output.Contains("\"alive\":true", StringComparison.Ordinal), () => "the device is there", Token);

        // A second enrolment under the name is refused, and leaves the first as it is.
        var (code, _, error) = await cluster.DeviceCommandAsync(Token, "enroll", "device-1", "--broker", "amqps://127.0.0.1:5671/", "--out", Path.Combine(_folder.FullName, "second.json"));
        Assert.Equal(2, code);
        Assert.Contains("'device-1' is enrolled already", error, StringComparison.Ordinal);
        Assert.Equal("device-1", (await cluster.DeviceCommandAsync(Token, "list")).Output.Trim());

        Assert.Equal(0, (await cluster.DeviceCommandAsync(Token, "revoke", "device-1")).Code);
        await cluster.UntilAsync(() => Task.FromResult(!device.IsRunning), () => "the revoked device ends", Token);
        Assert.Contains("refuses the login 'device-1'", device.LogEnd(), StringComparison.Ordinal);

        // Somebody else's authority has signed what the broker shows, by this kit.
        await cluster.EnrollAsync("device-9", Token);
        using var other = new TestAuthority();
        var kit = JsonSerializer.Deserialize<Dictionary<string, object>>(await File.ReadAllTextAsync(cluster.Kit("device-9"), Token))!;
        kit["device"] = "device-1";
        kit["certificate_authority"] = await File.ReadAllTextAsync(other.AuthorityFile, Token);
        await File.WriteAllTextAsync(cluster.Kit("device-1"), JsonSerializer.Serialize(kit), Token);
        device.Start();
        await cluster.UntilAsync(() => Task.FromResult(!device.IsRunning), () => "the device that does not believe the broker ends", Token);
        Assert.Contains("shows a certificate that is not believed", device.LogEnd(), StringComparison.Ordinal);
    }

    /// <summary>What the permissions of a device do not allow, each by the broker's own word.</summary>
    private static IEnumerable<(string What, Func<IChannel, Task> Attempt)> Attempts(string run)
    {
        var body = new byte[64];
        yield return ("publish activations as another", channel => PublishAsync(channel, RawBroker.Activations, $"{run}.device-1", Intruder));
        yield return ("publish under another user-id", channel => PublishAsync(channel, RawBroker.Activations, $"{run}.{Intruder}", "device-1"));
        yield return ("report under another's key", channel => PublishAsync(channel, Reports, "device-1", Intruder));
        yield return ("publish a step", channel => PublishAsync(channel, RawBroker.Steps, run, Intruder));
        yield return ("publish on the control plane", channel => PublishAsync(channel, "SplitFrozen.Contracts.Messages:RunFailed", "", Intruder));
        yield return ("publish straight to a queue", channel => PublishAsync(channel, "", $"{RawBroker.Activations}.{run}.device-1", Intruder));
        yield return ("read what another is told", channel => channel.BasicGetAsync("splitfrozen.devices.device-1", autoAck: false, Token));
        yield return ("read another's activations", channel => channel.BasicGetAsync($"{RawBroker.Activations}.{run}.device-1", autoAck: false, Token));
        yield return ("read all reports", channel => channel.BasicConsumeAsync(Reports, autoAck: false, new RabbitMQ.Client.Events.AsyncEventingBasicConsumer(channel), Token));
        yield return ("read the dead letters", channel => channel.BasicGetAsync("splitfrozen.dead-letters", autoAck: false, Token));
        yield return ("declare a queue", channel => channel.QueueDeclareAsync("mine", cancellationToken: Token));
        yield return ("declare a queue without a name", channel => channel.QueueDeclareAsync(cancellationToken: Token));
        yield return ("declare an exchange", channel => channel.ExchangeDeclareAsync("mine", ExchangeType.Fanout, cancellationToken: Token));
        yield return ("bind a queue", channel => channel.QueueBindAsync($"splitfrozen.devices.{Intruder}", RawBroker.Activations, "#", cancellationToken: Token));
        yield return ("delete another's queue", channel => channel.QueueDeleteAsync($"{RawBroker.Activations}.{run}.device-1", cancellationToken: Token));
        yield return ("delete an exchange", channel => channel.ExchangeDeleteAsync(RawBroker.Activations, cancellationToken: Token));
        yield return ("empty a queue", channel => channel.QueuePurgeAsync($"{RawBroker.Activations}.{run}.device-1", Token));

        Task PublishAsync(IChannel channel, string exchange, string key, string user) =>
            channel.BasicPublishAsync(exchange, key, mandatory: false, new BasicProperties { UserId = user }, body, Token).AsTask();
    }

    private static async Task<bool> IsRefusedAsync(RawBroker broker, Func<IChannel, Task> attempt)
    {
        var channel = await broker.ChannelAsync(Token);
        await using (channel)
        {
            try
            {
                await attempt(channel);
                return false;
            }
            catch (OperationInterruptedException exception)
            {
                return exception.ShutdownReason?.ReplyCode is Constants.AccessRefused or Constants.PreconditionFailed;
            }
        }
    }

    /// <summary>What the broker lets a device say about another, under its own key, the gateway does not.</summary>
    private static async Task AssertGatewayRefusesAsync(Cluster cluster, RawBroker intruder)
    {
        var channel = await intruder.ChannelAsync(Token);
        await using (channel)
        {
            await SayAsync("WorkFinished", """{"runId":"any","clientId":"device-1","sequence":1}""");
            await SayAsync("RunFailed", """{"runId":"any","reason":"because"}""");
            await SayAsync("DeviceAlive", "{");
        }

        // Of three refusals, the first and the second are told.
        await cluster.UntilAsync(
            () => Task.FromResult(CountOf(cluster.Coordinator.Log(), "what device intruder says") == 2), () => "the coordinator logs what it refuses", Token);
        Assert.Contains("speaks for 'device-1'", cluster.Coordinator.Log(), StringComparison.Ordinal);
        Assert.Contains("A device does not say 'RunFailed'", cluster.Coordinator.Log(), StringComparison.Ordinal);

        async Task SayAsync(string kind, string json) => await channel.BasicPublishAsync(
            Reports, Intruder, mandatory: true,
            new BasicProperties { UserId = Intruder, Headers = new Dictionary<string, object?> { ["splitfrozen-message"] = kind } }, Encoding.UTF8.GetBytes(json), Token);
    }

    /// <summary>
    /// A publisher can name more keys in a header, which brokers before 4 do not hold against its permissions; the coordinator compares the sender
    /// with the client.
    /// </summary>
    private static async Task AssertCopyToAnotherIsRefusedAsync(Cluster cluster, RawBroker intruder, string run)
    {
        await using var administrator = await RawBroker.ConnectAsync(cluster.Broker.ConnectionString, Token, cluster.Authority);
        var before = await administrator.CountAsync("splitfrozen.dead-letters", Token);
        var channel = await intruder.ChannelAsync(Token);
        await using (channel)
        {
            var properties = new BasicProperties { UserId = Intruder, Headers = new Dictionary<string, object?> { ["CC"] = new List<object> { $"{run}.device-1" } } };
            try
            {
                await channel.BasicPublishAsync(RawBroker.Activations, $"{run}.{Intruder}", mandatory: false, properties, new byte[64], Token);
            }
            catch (OperationInterruptedException)
            {
                return;
            }
        }

        await cluster.UntilAsync(
            async () => await administrator.CountAsync("splitfrozen.dead-letters", Token) > before, () => "the copy is among the dead letters", Token);
    }

    private static async Task AssertRevokedAsync(Cluster cluster, RawBroker intruder)
    {
        var ended = intruder.Ended;
        var (code, _, error) = await cluster.DeviceCommandAsync(Token, "revoke", Intruder);
        Assert.True(code == 0, error);
        await ended.WaitAsync(TimeSpan.FromMinutes(1), Token);
        await Assert.ThrowsAsync<BrokerUnreachableException>(() => RawBroker.ConnectAsync(AddressOf(cluster, Intruder), Token, cluster.Authority));
        Assert.Contains($"user '{Intruder}'", cluster.Broker.Log, StringComparison.Ordinal);
    }

    private static async Task AssertOnlyOverTlsAsync(Cluster cluster)
    {
        var plain = cluster.Broker.ConnectionString.Replace("amqps://", "amqp://", StringComparison.Ordinal);
        await Assert.ThrowsAsync<BrokerUnreachableException>(() => RawBroker.ConnectAsync(plain, Token));
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", cluster.Redis.Port, Token);
        await client.GetStream().WriteAsync("PING\r\n"u8.ToArray(), Token);
        Assert.NotEqual("+PONG"u8.ToArray(), await AnswerAsync(client));
        await Assert.ThrowsAsync<AuthenticationException>(() => StrangersAuthorityAsync(cluster.Redis.Port));
    }

    private static async Task<byte[]> AnswerAsync(TcpClient client)
    {
        var answer = new byte[5];
        try
        {
            return answer[..await client.GetStream().ReadAtLeastAsync(answer, answer.Length, throwOnEndOfStream: false, Token)];
        }
        catch (IOException)
        {
            // It hung up.
            return [];
        }
    }

    private static async Task StrangersAuthorityAsync(int port)
    {
        using var other = new TestAuthority();
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", port, Token);
        await using var stream = new SslStream(client.GetStream(), leaveInnerStreamOpen: false, other.Trust.Believes);
        await stream.AuthenticateAsClientAsync("127.0.0.1");
    }

    private static string AddressOf(Cluster cluster, string device)
    {
        using var kit = JsonDocument.Parse(File.ReadAllText(cluster.Kit(device)));
        return cluster.Broker.ConnectionStringFor(device, kit.RootElement.GetProperty("password").GetString());
    }

    private static int CountOf(string text, string part) => text.Split(part).Length - 1;
}
