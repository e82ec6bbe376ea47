using System.Collections.Concurrent;
using System.Diagnostics;
using Polly;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>Where a message goes, and how to make the place when it is missing.</summary>
internal sealed record Address(string Exchange, string RoutingKey, MessageQueue Queue, Func<IChannel, CancellationToken, Task> DeclareAsync);

/// <summary>
/// Publishes durably and waits for the broker's confirmation, over as many channels as publishes may be under way: no two
/// threads share one. Thread-safe.
/// </summary>
internal sealed class ConfirmingPublisher(RabbitMqConnection connection, string user, int window, ResiliencePipeline onFailure, TimeProvider time) : IAsyncDisposable
{
    private static readonly CreateChannelOptions Confirmed = new(
        publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true, outstandingPublisherConfirmationsRateLimiter: null);

    private readonly SemaphoreSlim _window = new(window, window);
    private readonly ConcurrentBag<IChannel> _idle = [];

    /// <summary>Publishes one message; a lost connection is repeated inside, with the same message id.</summary>
    public async Task<PublishOutcome> PublishAsync(
        Address address, string contentType, IReadOnlyDictionary<string, object?> headers, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var messageId = Guid.NewGuid().ToString("N");
        using var activity = MessagingTelemetry.StartPublish(address.Queue, messageId, body.Length);
        activity?.SetTag("messaging.rabbitmq.destination.routing_key", address.RoutingKey);
        var properties = Properties(messageId, contentType, headers, activity);
        var started = time.GetTimestamp();
        await _window.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            var outcome = await onFailure.ExecuteAsync(
                async token => await AttemptAsync(address, properties, body, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
            MessagingTelemetry.Published(activity, outcome);
            MessagingTelemetry.Measure(address.Queue, outcome, time.GetElapsedTime(started));
            return outcome;
        }
        catch (Exception exception)
        {
            MessagingTelemetry.Failed(activity, address.Queue, exception, time.GetElapsedTime(started));
            throw;
        }
        finally
        {
            _window.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        while (_idle.TryTake(out var channel))
        {
            await channel.DisposeAsync().ConfigureAwait(false);
        }

        _window.Dispose();
    }

    private async Task<PublishOutcome> AttemptAsync(Address address, BasicProperties properties, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        try
        {
            if (await TryPublishAsync(address, properties, body, cancellationToken).ConfigureAwait(false) is { } outcome)
            {
                return outcome;
            }

            await DeclareAsync(address, cancellationToken).ConfigureAwait(false);
            return await TryPublishAsync(address, properties, body, cancellationToken).ConfigureAwait(false)
                ?? throw new IOException($"No queue is bound to exchange '{address.Exchange}' for '{address.RoutingKey}' yet.");
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException("The broker does not answer.", exception);
        }
    }

    /// <summary>Null when no queue, or no exchange, is there to take the message.</summary>
    private async Task<PublishOutcome?> TryPublishAsync(Address address, BasicProperties properties, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var channel = await RentAsync(cancellationToken).ConfigureAwait(false);
        var settled = false;
        try
        {
            await channel.BasicPublishAsync(address.Exchange, address.RoutingKey, mandatory: true, properties, body, cancellationToken).ConfigureAwait(false);
            settled = true;
            return PublishOutcome.Confirmed;
        }
        catch (PublishException exception) when (channel.IsOpen)
        {
            settled = true;
            return exception.IsReturn ? null : PublishOutcome.QueueFull;
        }
        catch (OperationInterruptedException exception) when (RabbitMqFailures.HasCode(exception, Constants.NotFound))
        {
            return null;
        }
        finally
        {
            if (settled && channel.IsOpen)
            {
                _idle.Add(channel);
            }
            else
            {
                await channel.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private async Task DeclareAsync(Address address, CancellationToken cancellationToken)
    {
        var channel = await connection.OpenChannelAsync(null, cancellationToken).ConfigureAwait(false);
        await using (channel.ConfigureAwait(false))
        {
            try
            {
                await address.DeclareAsync(channel, cancellationToken).ConfigureAwait(false);
            }
            catch (OperationInterruptedException exception) when (RabbitMqFailures.HasCode(exception, Constants.AccessRefused))
            {
                // A device may lack the permission to declare; then the queue appears when the coordinator subscribes.
            }
        }
    }

    private async Task<IChannel> RentAsync(CancellationToken cancellationToken)
    {
        while (_idle.TryTake(out var channel))
        {
            if (channel.IsOpen)
            {
                return channel;
            }

            await channel.DisposeAsync().ConfigureAwait(false);
        }

        return await connection.OpenChannelAsync(Confirmed, cancellationToken).ConfigureAwait(false);
    }

    private BasicProperties Properties(string messageId, string contentType, IReadOnlyDictionary<string, object?> headers, Activity? activity)
    {
        var properties = new BasicProperties
        {
            Persistent = true,
            ContentType = contentType,
            MessageId = messageId,
            UserId = user,
            Timestamp = new AmqpTimestamp(time.GetUtcNow().ToUnixTimeSeconds()),
            Headers = new Dictionary<string, object?>(headers),
        };

        // Where somebody listened to the client's own spans, it would put its publish span here instead.
        TraceHeaders.Write(activity, properties.Headers);
        return properties;
    }
}
