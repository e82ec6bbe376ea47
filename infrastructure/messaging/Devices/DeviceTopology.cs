using RabbitMQ.Client;
using SplitFrozen.Messaging.ControlBus;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Messaging.Devices;

/// <summary>
/// What an enrolled device meets at the broker: it reads one queue of its own, and publishes to two exchanges under keys that name it. It
/// declares nothing; the coordinator does that for it.
/// </summary>
internal static class DeviceTopology
{
    /// <summary>Topic exchange, and the queue behind it, of what enrolled devices say; routing key <c>{device}</c>.</summary>
    public const string Reports = "splitfrozen.reports";

    private const string QueuePrefix = "splitfrozen.devices.";
    private const int MostMessages = 8192;

    /// <summary>A device that was away for a week is taken for gone.</summary>
    private static readonly TimeSpan s_expiration = TimeSpan.FromDays(7);

    /// <summary>Name of the queue of what a device is told.</summary>
    public static string Queue(string device) => QueuePrefix + device;

    /// <summary>The exchange and queue of the reports.</summary>
    public static async Task DeclareReportsAsync(IChannel channel, RabbitMqOptions options, CancellationToken cancellationToken)
    {
        await channel.ExchangeDeclareAsync(Reports, ExchangeType.Topic, durable: true, cancellationToken: cancellationToken).ConfigureAwait(false);
        await RabbitMqTopology.DeclareAsync(channel, Reports, Arguments(options, "reject-publish"), cancellationToken).ConfigureAwait(false);
        await channel.QueueBindAsync(Reports, Reports, "#", cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A device's queue, bound to what concerns it: what is addressed to it by name, and the course of the runs.</summary>
    public static async Task DeclareQueueAsync(IChannel channel, RabbitMqOptions options, string device, CancellationToken cancellationToken)
    {
        var queue = Queue(device);

        // A device that is away must never hold up whoever tells something to all of them: its oldest messages make room.
        var arguments = Arguments(options, "drop-head");
        arguments["x-expires"] = (long)s_expiration.TotalMilliseconds;
        await RabbitMqTopology.DeclareAsync(channel, queue, arguments, cancellationToken).ConfigureAwait(false);
        foreach (var (type, addressed) in DeviceMessages.Received)
        {
            var exchange = ControlTopology.ExchangeName(type);
            await channel.ExchangeDeclareAsync(exchange, ControlTopology.ExchangeKind(type), durable: true, cancellationToken: cancellationToken).ConfigureAwait(false);
            await channel.QueueBindAsync(queue, exchange, addressed ? device : "", cancellationToken: cancellationToken).ConfigureAwait(false);
        }
    }

    private static Dictionary<string, object?> Arguments(RabbitMqOptions options, string overflow) => new()
    {
        ["x-queue-type"] = options.QueueKind == QueueKind.Quorum ? "quorum" : "classic",
        ["x-overflow"] = overflow,
        ["x-single-active-consumer"] = true,
        ["x-max-length"] = MostMessages,
        ["x-max-length-bytes"] = options.DeviceQueueBytes,
    };
}
