using Microsoft.Extensions.Logging;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.Devices;

/// <summary>
/// The control plane of an enrolled device. What it says goes to <see cref="DeviceGateway"/>, which holds it to what this device may say; what it is
/// told comes in the device's own queue, one message at a time. It declares nothing at the broker. Thread-safe.
/// </summary>
public sealed class DeviceLink : IControlPlane, IAsyncDisposable
{
    private const int Prefetch = 16;

    private readonly string _device;
    private readonly RabbitMqConnection _consuming;
    private readonly ConfirmingPublisher _publisher;
    private readonly RabbitMqResilience _resilience;
    private readonly ILogger _logger;
    private readonly Address _reports;
    private readonly Lock _gate = new();
    private readonly List<Handler> _handlers = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _receiving;

    internal DeviceLink(string device, RabbitMqConnection consuming, ConfirmingPublisher publisher, RabbitMqResilience resilience, ILogger logger)
    {
        (_device, _consuming, _publisher, _resilience, _logger) = (device, consuming, publisher, resilience, logger);
        _reports = new Address(DeviceTopology.Reports, device, MessageQueue.Reports, (_, _) => Task.CompletedTask);
        _receiving = Task.Run(ReceiveAsync);
    }

    /// <summary>Whether the connection to the broker stands.</summary>
    public bool IsConnected => _consuming.IsOpen;

    /// <inheritdoc/>
    /// <remarks>What a device may not say stays here, with a line in the log: a run is not a device's to end.</remarks>
    /// <exception cref="ControlBus.ControlMessageTooLargeException">The message is larger than one report may be.</exception>
    public async ValueTask PublishAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
        where TMessage : class
    {
        if (!DeviceMessages.IsReport(typeof(TMessage)))
        {
            _logger.LogWarning("Device {Device} keeps to itself what an enrolled device does not say: {Message}", _device, message);
            return;
        }

        var body = DeviceMessages.EncodeReport(message);
        var headers = new Dictionary<string, object?> { [Headers.Message] = typeof(TMessage).Name };
        await _resilience.WhileFull.ExecuteAsync(
            async token => await _publisher.PublishAsync(_reports, DeviceMessages.ContentType, headers, body, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public IDisposable Subscribe<TMessage>(Func<TMessage, CancellationToken, ValueTask> handler, params IReadOnlyCollection<string> addresses)
        where TMessage : class
    {
        ArgumentNullException.ThrowIfNull(handler);
        var entry = new Handler(
            message => message is TMessage && (message is not IAddressedMessage addressed || addresses.Contains(addressed.Address)),
            (message, token) => handler((TMessage)message, token));
        lock (_gate)
        {
            _handlers.Add(entry);
        }

        return new Ending(() =>
        {
            lock (_gate)
            {
                _handlers.Remove(entry);
            }
        });
    }

    /// <summary>Stops receiving. What is not settled stays in the device's queue.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _receiving.ConfigureAwait(false);
        await _publisher.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    /// <summary>The queue appears when the coordinator has heard this device, and may be gone for a while with the broker's data.</summary>
    private async Task ReceiveAsync()
    {
        var setup = new ConsumerSetup<DeviceOrder>(MessageQueue.Orders(_device), Prefetch, (_, _) => Task.CompletedTask, Inspect, BuryAsync);
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var consumer = await QueueConsumer<DeviceOrder>.StartAsync(_consuming, setup, _resilience.OnFailure, _stop.Token).ConfigureAwait(false);
                await using var _ = consumer.ConfigureAwait(false);
                while (await consumer.WaitAsync(_stop.Token).ConfigureAwait(false))
                {
                    while (consumer.TryTake(out var delivery))
                    {
                        await HandleAsync(delivery!.Value).ConfigureAwait(false);
                        await delivery.AcknowledgeAsync(_stop.Token).ConfigureAwait(false);
                    }
                }
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                // The next thing that this device says meets the same refusal, and ends the process.
                _logger.LogError("The broker does not let device {Device} read what it is told: {Reason}", _device, exception.Message);
                return;
            }
        }
    }

    private static Inspection<DeviceOrder> Inspect(IncomingMessage message)
    {
        var (order, reason) = DeviceMessages.DecodeOrder(message.Body.Span);
        return new Inspection<DeviceOrder>(order, reason);
    }

    private Task BuryAsync(string reason, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        _logger.LogError("Device {Device} passes over a message: {Reason}", _device, reason);
        return Task.CompletedTask;
    }

    private async Task HandleAsync(DeviceOrder order)
    {
        if (order.Message is not { } message)
        {
            return;
        }

        Handler[] handlers;
        lock (_gate)
        {
            handlers = [.. _handlers.Where(handler => handler.Takes(message))];
        }

        foreach (var handler in handlers)
        {
            try
            {
                await handler.HandleAsync(message, _stop.Token).ConfigureAwait(false);
            }
            catch (Exception exception) when (!_stop.IsCancellationRequested)
            {
                _logger.LogError(exception, "Device {Device} could not handle a {Message}", _device, message.GetType().Name);
            }
        }
    }

    private sealed record Handler(Func<object, bool> Takes, Func<object, CancellationToken, ValueTask> HandleAsync);

    private sealed class Ending(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}
