using RabbitMQ.Client;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>Checks what the broker says about a message, before its body is copied or shown to a service.</summary>
internal sealed class MessageInspector(RabbitMqOptions options, string user)
{
    private const int RememberedMessages = 4096;

    private readonly HashSet<string> _trusted = options.TrustedUsers.Count > 0 ? [.. options.TrustedUsers] : [user];
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _redeliveries = [];
    private readonly Queue<string> _remembered = [];

    /// <summary>A copy of a client's activation message, or the reason against it.</summary>
    public Inspection<byte[]> Activation(string clientId, IncomingMessage message)
    {
        if (SizeFault(message) is { } size)
        {
            return Refused("too_large", size, default);
        }

        if (SenderFault(message.Properties, clientId) is { } sender)
        {
            return Refused("sender", sender, message.Body);
        }

        return RepetitionFault(message) is { } repetition ? Refused("never_settled", repetition, message.Body) : new Inspection<byte[]>(Copy(message.Body.Span), null);

        static Inspection<byte[]> Refused(string kind, string reason, ReadOnlyMemory<byte> kept)
        {
            MessagingTelemetry.Refused(MessageQueue.ActivationsTemplate, kind);
            return new Inspection<byte[]>(null, reason, kept);
        }
    }

    /// <summary>Why a message that only trusted users may send is refused, and what to keep of it; a null reason when it is not.</summary>
    public (string? Reason, ReadOnlyMemory<byte> Kept) StepFault(IncomingMessage message) =>
        SizeFault(message) is { } size ? (size, default) : (SenderFault(message.Properties, null), message.Body);

    /// <summary>A copy into memory that is not cleared first: all of it is written.</summary>
    private static byte[] Copy(ReadOnlySpan<byte> body)
    {
        var copy = GC.AllocateUninitializedArray<byte>(body.Length);
        body.CopyTo(copy);
        return copy;
    }

    private string? SizeFault(IncomingMessage message) => message.Body.Length > options.MaximumBodyBytes
        ? $"The body has {message.Body.Length} bytes; at most {options.MaximumBodyBytes} are taken in, and it is not kept."
        : null;

    private string? SenderFault(IReadOnlyBasicProperties properties, string? clientId)
    {
        // The broker compares user-id with the login only where the publisher sets it.
        if (!properties.IsUserIdPresent() || properties.UserId is not { Length: > 0 } sender)
        {
            return "The message has no user-id: its sender is not known.";
        }

        if (_trusted.Contains(sender) || (clientId is not null && (clientId == sender || clientId.StartsWith(sender + ".", StringComparison.Ordinal))))
        {
            return null;
        }

        return clientId is null ? $"User '{sender}' may not publish steps." : $"User '{sender}' may not publish for client '{clientId}'.";
    }

    private string? RepetitionFault(IncomingMessage message)
    {
        var before = message.Properties.Headers?.TryGetValue("x-delivery-count", out var count) == true
            ? Convert.ToInt64(count)
            : message.Redelivered && options.QueueKind == QueueKind.Classic ? Redelivered(message.Properties.MessageId) : 0;
        return before >= options.MaximumDeliveries
            ? $"The message was delivered {before} times and never settled."
            : null;
    }

    /// <summary>A classic queue does not count; so this process does, for the messages that came again last.</summary>
    private int Redelivered(string? messageId)
    {
        if (messageId is null)
        {
            return options.MaximumDeliveries;
        }

        lock (_gate)
        {
            if (!_redeliveries.TryGetValue(messageId, out var count))
            {
                _remembered.Enqueue(messageId);
                if (_remembered.Count > RememberedMessages)
                {
                    _redeliveries.Remove(_remembered.Dequeue());
                }
            }

            return _redeliveries[messageId] = count + 1;
        }
    }
}
