using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using SplitFrozen.Contracts.Security;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>A hand on the broker beside the system's own, as docs/wire-format.md describes its queues.</summary>
internal sealed class RawBroker : IAsyncDisposable
{
    public const string Activations = "splitfrozen.activations";
    public const string Steps = "splitfrozen.steps";

    private readonly IConnection _connection;

    private RawBroker(IConnection connection) => _connection = connection;

    public static async Task<RawBroker> ConnectAsync(string address, CancellationToken cancellationToken, TestAuthority? authority = null)
    {
        var factory = new ConnectionFactory { Uri = new Uri(address), AutomaticRecoveryEnabled = false };
        factory.Ssl.CertificateValidationCallback = (authority?.Trust ?? CertificateTrust.OfMachine).Believes;
        return new RawBroker(await factory.CreateConnectionAsync(cancellationToken));
    }

    /// <summary>Completes when the connection has ended.</summary>
    public Task Ended
    {
        get
        {
            var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _connection.ConnectionShutdownAsync += (_, _) =>
            {
                ended.TrySetResult();
                return Task.CompletedTask;
            };
            return _connection.IsOpen ? ended.Task : Task.CompletedTask;
        }
    }

    /// <summary>A channel that waits for confirms: a refused publish throws.</summary>
    public Task<IChannel> ChannelAsync(CancellationToken cancellationToken) =>
        _connection.CreateChannelAsync(new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true), cancellationToken);

    /// <summary>A channel that does not wait: what the broker refuses is lost unseen.</summary>
    public Task<IChannel> UnconfirmedChannelAsync(CancellationToken cancellationToken) => _connection.CreateChannelAsync(cancellationToken: cancellationToken);

    /// <summary>Messages in a queue that no consumer holds.</summary>
    public async Task<uint> CountAsync(string queue, CancellationToken cancellationToken)
    {
        var channel = await UnconfirmedChannelAsync(cancellationToken);
        await using (channel)
        {
            return await channel.MessageCountAsync(queue, cancellationToken);
        }
    }

    /// <summary>Listens from now on: the task completes with the first body that passes an exchange for a key.</summary>
    public async Task<Task<byte[]>> FirstAsync(string exchange, string key, CancellationToken cancellationToken)
    {
        var first = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        var channel = await UnconfirmedChannelAsync(cancellationToken);
        await channel.ExchangeDeclareAsync(exchange, exchange == Activations ? ExchangeType.Topic : ExchangeType.Direct, durable: true, cancellationToken: cancellationToken);
        var queue = (await channel.QueueDeclareAsync(cancellationToken: cancellationToken)).QueueName;
        await channel.QueueBindAsync(queue, exchange, key, cancellationToken: cancellationToken);
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += async (_, delivery) =>
        {
            if (first.TrySetResult(delivery.Body.ToArray()))
            {
                await channel.QueueUnbindAsync(queue, exchange, key, cancellationToken: CancellationToken.None);
            }
        };
        await channel.BasicConsumeAsync(queue, autoAck: true, consumer, cancellationToken);
        return first.Task;
    }

    /// <summary>
    /// Sends everything that passes an exchange for some keys again: each message twice more, and in groups that are turned around. So all of
    /// it arrives doubled, out of order, and, after more has gone by, replayed.
    /// </summary>
    public async Task DoubleAsync(string exchange, IEnumerable<string> keys, int group, Action<int> seen, CancellationToken cancellationToken)
    {
        var channel = await ChannelAsync(cancellationToken);
        await channel.ExchangeDeclareAsync(exchange, exchange == Activations ? ExchangeType.Topic : ExchangeType.Direct, durable: true, cancellationToken: cancellationToken);
        var queue = (await channel.QueueDeclareAsync(cancellationToken: cancellationToken)).QueueName;
        foreach (var key in keys)
        {
            await channel.QueueBindAsync(queue, exchange, key, cancellationToken: cancellationToken);
        }

        var known = new HashSet<string>();
        var waiting = new List<(string Key, BasicProperties Properties, byte[] Body)>();
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += async (_, delivery) =>
        {
            // What comes back here was sent by this hand.
            if (!known.Add(Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(delivery.Body.Span)) + delivery.RoutingKey))
            {
                return;
            }

            seen(known.Count);
            waiting.Add((delivery.RoutingKey, new BasicProperties(delivery.BasicProperties), delivery.Body.ToArray()));
            if (waiting.Count < group)
            {
                return;
            }

            waiting.Reverse();
            foreach (var (key, properties, body) in waiting.Concat(waiting))
            {
                try
                {
                    await channel.BasicPublishAsync(exchange, key, mandatory: false, properties, body, CancellationToken.None);
                }
                catch (RabbitMQ.Client.Exceptions.PublishException)
                {
                    // The queue is full: that copy is not sent.
                }
            }

            waiting.Clear();
        };
        await channel.BasicConsumeAsync(queue, autoAck: true, consumer, cancellationToken);
    }

    public async ValueTask DisposeAsync() => await _connection.DisposeAsync();
}
