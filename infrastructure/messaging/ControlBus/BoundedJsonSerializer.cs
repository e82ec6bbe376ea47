using System.Net.Mime;
using MassTransit;
using MassTransit.Serialization;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>A control message is larger than the broker takes; it was not sent.</summary>
public sealed class ControlMessageTooLargeException(Type messageType, long bytes, int limit)
    : InvalidOperationException(
        $"A {messageType.Name} of {bytes} bytes is larger than the control plane takes ({limit}): split it, or raise the limit here and at the broker.");

/// <summary>The library's JSON envelope with this system's converters; refuses what the broker would cut the connection for.</summary>
internal sealed class BoundedJsonSerializer(int maximumBytes) : ISerializerFactory, IMessageSerializer
{
    private readonly SystemTextJsonMessageSerializer _json = new();

    public ContentType ContentType => _json.ContentType;

    public IMessageSerializer CreateSerializer() => this;

    public IMessageDeserializer CreateDeserializer() => _json;

    public MessageBody GetMessageBody<T>(SendContext<T> context)
        where T : class
    {
        // Written once: the body keeps its bytes.
        var body = _json.GetMessageBody(context);
        var length = body.GetBytes().LongLength;
        return length <= maximumBytes ? body : throw new ControlMessageTooLargeException(typeof(T), length, maximumBytes);
    }
}
