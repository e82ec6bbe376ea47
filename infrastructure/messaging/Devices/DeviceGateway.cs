using System.Globalization;
using System.Numerics;
using System.Text;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Logging;
using RabbitMQ.Client;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.Messaging.Telemetry;
using Headers = SplitFrozen.Messaging.RabbitMq.Headers;

namespace SplitFrozen.Messaging.Devices;

/// <summary>
/// Where enrolled devices meet the services. It takes what they report, refuses what a device may not say, with a reason and into the dead
/// letters, and tells the rest on the control plane, which devices cannot reach. A device that it hears gets a queue of what it is told. Of several
/// gateways one works at a time.
/// </summary>
public sealed class DeviceGateway : IAsyncDisposable
{
    private const int Prefetch = 64;

    /// <summary>Reports of one device that are taken in a second; many more than batches that it can compute.</summary>
    private const int ReportsPerSecond = 200;

    private const int ReportsAtOnce = 10 * ReportsPerSecond;

    private static readonly TimeSpan s_lookAgain = TimeSpan.FromSeconds(10);

    private readonly RabbitMqConnection _consuming;
    private readonly RabbitMqDeadLetters _deadLetters;
    private readonly RabbitMqOptions _options;
    private readonly RabbitMqResilience _resilience;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Dictionary<string, long> _queues = [];
    private readonly Dictionary<string, ulong> _refused = [];
    private readonly PartitionedRateLimiter<string> _limiter = PartitionedRateLimiter.Create<string, string>(device => RateLimitPartition.GetTokenBucketLimiter(
        device, _ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = ReportsAtOnce, TokensPerPeriod = ReportsPerSecond, ReplenishmentPeriod = TimeSpan.FromSeconds(1), QueueLimit = 0,
        }));

    internal DeviceGateway(
        RabbitMqConnection consuming, RabbitMqDeadLetters deadLetters, RabbitMqOptions options, RabbitMqResilience resilience, TimeProvider time, ILogger logger) =>
        (_consuming, _deadLetters, _options, _resilience, _time, _logger) = (consuming, deadLetters, options, resilience, time, logger);

    /// <summary>Relays until cancelled.</summary>
    /// <param name="control">Takes what the devices say.</param>
    /// <param name="cancellationToken">Ends it; what was not relayed stays at the broker.</param>
    public async Task RunAsync(IControlPlane control, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(control);
        var setup = new ConsumerSetup<DeviceReport>(
            MessageQueue.Reports, Prefetch, (channel, token) => DeviceTopology.DeclareReportsAsync(channel, _options, token), Inspect,
            (reason, body, token) => _deadLetters.AddAsync("", "", reason, body, token));
        while (true)
        {
            var consumer = await QueueConsumer<DeviceReport>.StartAsync(_consuming, setup, _resilience.OnFailure, cancellationToken).ConfigureAwait(false);
            await using var _ = consumer.ConfigureAwait(false);
            while (await consumer.WaitAsync(cancellationToken).ConfigureAwait(false))
            {
                while (consumer.TryTake(out var delivery))
                {
                    var report = delivery!.Value;
                    if (report.Message is DeviceAlive)
                    {
                        // Before the services hear of it, and answer.
                        await _resilience.OnFailure.ExecuteAsync(async token => await ProvideQueueAsync(report.Device, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
                    }

                    await report.PublishAsync(control, cancellationToken).ConfigureAwait(false);
                    await delivery.AcknowledgeAsync(cancellationToken).ConfigureAwait(false);
                }
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _limiter.DisposeAsync();

    private Inspection<DeviceReport> Inspect(IncomingMessage message)
    {
        // The broker compares user-id with the login only where the publisher sets it.
        var device = message.Properties.IsUserIdPresent() ? message.Properties.UserId : null;
        if (string.IsNullOrEmpty(device))
        {
            return Refused("?", "sender", "The report has no user-id: its sender is not known.", message.Body);
        }

        using var lease = _limiter.AttemptAcquire(device);
        if (!lease.IsAcquired)
        {
            return Refused(device, "too_many", $"Device '{device}' reports more than {ReportsPerSecond} times in a second.", default);
        }

        var (report, reason) = DeviceMessages.DecodeReport(KindOf(message.Properties), device, message.Body.Span);
        return report is not null ? new Inspection<DeviceReport>(report, null) : Refused(device, "not_a_report", reason!, message.Body);
    }

    /// <summary>Of many refusals of one device, the first, the second, the fourth and so on are told.</summary>
    private Inspection<DeviceReport> Refused(string device, string kind, string reason, ReadOnlyMemory<byte> kept)
    {
        MessagingTelemetry.Refused(DeviceTopology.Reports, kind);
        var count = _refused[device] = _refused.GetValueOrDefault(device) + 1;
        if (BitOperations.IsPow2(count))
        {
            _logger.LogWarning("Refused, for the {Count}. time, what device {Device} says: {Reason}", count.ToString(CultureInfo.InvariantCulture), device, reason);
        }

        return new Inspection<DeviceReport>(null, $"Device '{device}': {reason}", kept);
    }

    private async Task ProvideQueueAsync(string device, CancellationToken cancellationToken)
    {
        var known = _queues.TryGetValue(device, out var looked);
        if (known && _time.GetElapsedTime(looked) < s_lookAgain)
        {
            return;
        }

        if (!known || !await _consuming.QueueExistsAsync(DeviceTopology.Queue(device), cancellationToken).ConfigureAwait(false))
        {
            var channel = await _consuming.OpenChannelAsync(null, cancellationToken).ConfigureAwait(false);
            await using var _ = channel.ConfigureAwait(false);
            await DeviceTopology.DeclareQueueAsync(channel, _options, device, cancellationToken).ConfigureAwait(false);
        }

        _queues[device] = _time.GetTimestamp();
    }

    private static string? KindOf(IReadOnlyBasicProperties properties) =>
        properties.Headers?.TryGetValue(Headers.Message, out var kind) == true && kind is byte[] { Length: <= 64 } text ? Encoding.ASCII.GetString(text) : null;
}
