using System.Diagnostics;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Bench;

/// <summary>
/// The peer of the intake: RabbitMQ.Client alone, publishing bodies durably with confirms and consuming them with
/// acknowledgements, over queues of the same arguments, one connection for each direction, and the same prefetch.
/// </summary>
internal sealed class BareBroker : IAsyncDisposable
{
    private const int Publishers = 4;
    private const ushort Prefetch = 2;

    private readonly IConnection _publishing;
    private readonly IConnection _consuming;
    private readonly List<IChannel> _channels = [];
    private readonly string[] _queues;
    private TaskCompletionSource _consumed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _missing;

    private BareBroker(IConnection publishing, IConnection consuming, int queues)
    {
        (_publishing, _consuming) = (publishing, consuming);
        _queues = [.. Enumerable.Range(0, queues).Select(i => $"bare-{i}")];
    }

    /// <summary>Product and version of the broker, as it says itself.</summary>
    public string Version { get; private set; } = "";

    /// <summary>Connects, declares the queues and subscribes to them.</summary>
    public static async Task<BareBroker> StartAsync(string connectionString, int queues, CancellationToken cancellationToken)
    {
        var factory = new ConnectionFactory { Uri = new Uri(connectionString), AutomaticRecoveryEnabled = false };
        var bare = new BareBroker(
            await factory.CreateConnectionAsync(cancellationToken).ConfigureAwait(false), await factory.CreateConnectionAsync(cancellationToken).ConfigureAwait(false), queues);
        bare.Version = bare._publishing.ServerProperties is { } properties ? $"{Text(properties, "product")} {Text(properties, "version")}" : "unknown broker";
        foreach (var queue in bare._queues)
        {
            await bare.ConsumeAsync(queue, cancellationToken).ConfigureAwait(false);
        }

        return bare;
    }

    /// <summary>Sends all bodies and takes them in, each queue its own.</summary>
    /// <param name="bodies">Bodies with the number of their queue.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Time from the first publish to the last acknowledgement.</returns>
    public async Task<TimeSpan> RunAsync(IReadOnlyList<(int Queue, byte[] Body)> bodies, CancellationToken cancellationToken)
    {
        _consumed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Volatile.Write(ref _missing, bodies.Count);
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, Publishers).Select(p => PublishAsync(bodies.Where((_, i) => i % Publishers == p), cancellationToken))).ConfigureAwait(false);
        await _consumed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        return clock.Elapsed;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var channel in _channels)
        {
            await channel.DisposeAsync().ConfigureAwait(false);
        }

        await _publishing.DisposeAsync().ConfigureAwait(false);
        await _consuming.DisposeAsync().ConfigureAwait(false);
    }

    private async Task ConsumeAsync(string queue, CancellationToken cancellationToken)
    {
        var channel = await _consuming.CreateChannelAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
        _channels.Add(channel);
        var arguments = new Dictionary<string, object?>
        {
            ["x-queue-type"] = "classic", ["x-overflow"] = "reject-publish", ["x-dead-letter-exchange"] = RabbitMqTopology.DeadLetters,
            ["x-single-active-consumer"] = true, ["x-max-length"] = 1024, ["x-max-length-bytes"] = 16L << 20,
        };
        await channel.QueueDeclareAsync(queue, durable: true, exclusive: false, autoDelete: false, arguments, cancellationToken: cancellationToken).ConfigureAwait(false);
        await channel.BasicQosAsync(0, Prefetch, global: false, cancellationToken).ConfigureAwait(false);
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += async (_, delivery) =>
        {
            await channel.BasicAckAsync(delivery.DeliveryTag, multiple: false, CancellationToken.None).ConfigureAwait(false);
            if (Interlocked.Decrement(ref _missing) == 0)
            {
                _consumed.SetResult();
            }
        };
        await channel.BasicConsumeAsync(queue, autoAck: false, consumer, cancellationToken).ConfigureAwait(false);
    }

    private async Task PublishAsync(IEnumerable<(int Queue, byte[] Body)> bodies, CancellationToken cancellationToken)
    {
        var channel = await _publishing.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true, outstandingPublisherConfirmationsRateLimiter: null),
            cancellationToken).ConfigureAwait(false);
        await using (channel.ConfigureAwait(false))
        {
            foreach (var (queue, body) in bodies)
            {
                await channel.BasicPublishAsync(
                    "", _queues[queue], mandatory: true, new BasicProperties { Persistent = true }, body, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static string Text(IDictionary<string, object?> properties, string name) =>
        properties.TryGetValue(name, out var value) && value is byte[] bytes ? System.Text.Encoding.UTF8.GetString(bytes) : "?";
}
