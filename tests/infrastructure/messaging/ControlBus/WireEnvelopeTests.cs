using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging.ControlBus;
using SplitFrozen.TestServers;

namespace SplitFrozen.Messaging.Tests.ControlBus;

/// <summary>A control message as it lies on the broker is the one that docs/wire-format.md shows to who writes a device worker in another language.</summary>
[Collection(BrokerCollection.Name)]
public sealed class WireEnvelopeTests(BrokerForTests broker)
{
    private const string Exchange = "SplitFrozen.Contracts.Messages:WorkAssigned";
    private const string Client = "client-3";

    [Fact]
    public async Task WorkAssigned_OnTheBroker_IsTheDocumentedEnvelope()
    {
        var token = TestContext.Current.CancellationToken;
        await using var plane = await MassTransitControlPlane.StartAsync(
            new ControlBusOptions { ConnectionString = broker.ConnectionString, ProcessName = "test" }, NullLoggerFactory.Instance, TimeProvider.System, token);

        // The first message makes its exchange.
        await plane.PublishAsync(new WorkAssigned("other", Client, 1, 1, []), token);
        await using var connection = await new ConnectionFactory { Uri = new Uri(broker.ConnectionString) }.CreateConnectionAsync(token);
        await using var channel = await connection.CreateChannelAsync(cancellationToken: token);
        await channel.ExchangeDeclarePassiveAsync(Exchange, token);
        var queue = (await channel.QueueDeclareAsync(cancellationToken: token)).QueueName;
        await channel.QueueBindAsync(queue, Exchange, Client, cancellationToken: token);
        var captured = new TaskCompletionSource<(string? ContentType, byte[] Body)>(TaskCreationOptions.RunContinuationsAsynchronously);
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += (_, delivery) =>
        {
            _ = captured.TrySetResult((delivery.BasicProperties.ContentType, delivery.Body.ToArray()));
            return Task.CompletedTask;
        };
        await channel.BasicConsumeAsync(queue, autoAck: true, consumer, token);
        await plane.PublishAsync(new WorkAssigned("demo", Client, 4, 12, [SampleId.Training(17), SampleId.Evaluation(5)]), token);

        var (contentType, body) = await captured.Task.WaitAsync(token);
        Assert.Equal("application/vnd.masstransit+json", contentType);
        var actual = JsonNode.Parse(body)!.AsObject();
        var documented = Documented();
        Assert.True(
            documented.Select(entry => entry.Key).Order().SequenceEqual(actual.Select(entry => entry.Key).Order()),
            $"docs/wire-format.md should show this envelope:\n{actual.ToJsonString(new JsonSerializerOptions { WriteIndented = true })}");
        foreach (var part in new[] { "messageType", "message" })
        {
            Assert.True(JsonNode.DeepEquals(documented[part], actual[part]), $"{part}: {actual[part]}");
        }
    }

    private static JsonObject Documented()
    {
        var text = File.ReadAllText(Path.Combine(Programs.Root, "docs", "wire-format.md"));
        var begin = text.IndexOf("```json\n", text.IndexOf("A captured `WorkAssigned`", StringComparison.Ordinal), StringComparison.Ordinal) + "```json\n".Length;
        return JsonNode.Parse(text[begin..text.IndexOf("```", begin, StringComparison.Ordinal)])!.AsObject();
    }
}
