using System.Text.Json;
using MassTransit;
using MassTransit.Serialization;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.ControlBus;

namespace SplitFrozen.Messaging.Devices;

/// <summary>Something that an enrolled device said, checked, and ready to be told to the services.</summary>
/// <param name="Device">The device, as the broker vouches for it.</param>
/// <param name="Message">The message.</param>
/// <param name="PublishAsync">Tells it to the services.</param>
internal sealed record DeviceReport(string Device, object Message, Func<IControlPlane, CancellationToken, ValueTask> PublishAsync);

/// <summary>Something that an enrolled device is told.</summary>
/// <param name="Message">The message; null for one that this version does not know.</param>
internal sealed record DeviceOrder(object? Message);

/// <summary>The control messages that an enrolled device exchanges with the services, and no others.</summary>
internal static class DeviceMessages
{
    /// <summary>Leaves room for the envelope in which a report goes on.</summary>
    public const int MaximumReportBytes = 15 << 20;

    /// <summary>Media type of a report.</summary>
    public const string ContentType = "application/json";

    private const int MaximumName = 256;
    private const int MaximumCut = 1024;

    private static readonly Dictionary<string, Kind> s_reports = new(StringComparer.Ordinal)
    {
        [nameof(DeviceAlive)] = Kind.Of<DeviceAlive>(message => message.Device, AliveFault),
        [nameof(ClientRegistered)] = Kind.Of<ClientRegistered>(message => message.ClientId, RegistrationFault),
        [nameof(WorkFinished)] = Kind.Of<WorkFinished>(message => message.ClientId, message => NameFault("RunId", message.RunId)),
        [nameof(DeviceProgress)] = Kind.Of<DeviceProgress>(message => message.ClientId, ProgressFault),
    };

    private static readonly Dictionary<string, Type> s_orders =
        new[] { typeof(ClientsAssigned), typeof(WorkAssigned), typeof(CoordinatorReady), typeof(RunCancelled), typeof(RunFinished), typeof(RunFailed) }
            .ToDictionary(MessageUrn.ForTypeString, StringComparer.Ordinal);

    /// <summary>What a device is told, and whether by its name.</summary>
    public static IEnumerable<(Type Type, bool Addressed)> Received => s_orders.Values.Select(type => (type, ControlTopology.IsAddressed(type)));

    /// <summary>Whether a device may say such a thing.</summary>
    public static bool IsReport(Type type) => s_reports.TryGetValue(type.Name, out var kind) && kind.Type == type;

    /// <summary>The body of a report.</summary>
    /// <exception cref="ControlMessageTooLargeException">It is larger than <see cref="MaximumReportBytes"/>.</exception>
    public static byte[] EncodeReport<TMessage>(TMessage message)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(message, ControlMessageJson.Options);
        return body.Length <= MaximumReportBytes ? body : throw new ControlMessageTooLargeException(typeof(TMessage), body.Length, MaximumReportBytes);
    }

    /// <summary>Reads a report and holds it to what its sender may say.</summary>
    /// <param name="kind">Name of the message, as the sender gave it.</param>
    /// <param name="device">The sender, as the broker vouches for it.</param>
    /// <param name="body">The body.</param>
    /// <returns>The report, or the reason against it.</returns>
    public static (DeviceReport? Report, string? Reason) DecodeReport(string? kind, string device, ReadOnlySpan<byte> body)
    {
        if (kind is null || !s_reports.TryGetValue(kind, out var known))
        {
            return (null, $"A device does not say '{Shortened(kind)}'; it says {string.Join(", ", s_reports.Keys)}.");
        }

        if (body.Length > MaximumReportBytes)
        {
            return (null, $"The body has {body.Length} bytes; at most {MaximumReportBytes} are taken in.");
        }

        try
        {
            return known.Read(device, body);
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            return (null, $"The body is no {kind}: {exception.Message}");
        }
    }

    /// <summary>Reads what a device is told, out of the envelope of the bus.</summary>
    /// <returns>The message, or the reason why there is none.</returns>
    public static (DeviceOrder? Order, string? Reason) DecodeOrder(ReadOnlySpan<byte> body)
    {
        try
        {
            var envelope = JsonSerializer.Deserialize<JsonMessageEnvelope>(body, ControlMessageJson.Options);
            var type = envelope?.MessageType?.Select(urn => s_orders.GetValueOrDefault(urn)).FirstOrDefault(known => known is not null);
            var message = type is not null && envelope?.Message is JsonElement json ? json.Deserialize(type, ControlMessageJson.Options) : null;
            return (new DeviceOrder(message), null);
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            return (null, $"The message cannot be read: {exception.Message}");
        }
    }

    private static string? AliveFault(DeviceAlive message) =>
        NameFault("Instance", message.Instance) ?? ProfileFault(message.Profile)
        ?? (message.HasOwnData ? null : "An enrolled device serves data of its own, and this one says that it holds none.");

    private static string? RegistrationFault(ClientRegistered message) =>
        NameFault("RunId", message.RunId) ?? NameFault("Instance", message.Instance) ?? NameFault("ModelFingerprint", message.ModelFingerprint)
        ?? (message.Cut is >= 0 and <= MaximumCut ? null : $"Cut is {message.Cut}; expected 0 to {MaximumCut}.")
        ?? (message.Manifest is null ? "Manifest is missing." : null)
        ?? (message.Profile is null ? null : ProfileFault(message.Profile));

    private static string? ProgressFault(DeviceProgress message) =>
        NameFault("RunId", message.RunId)
        ?? (message is { Samples: >= 0, Tokens: >= 0, ForwardFlops: >= 0, BytesPublished: >= 0 } && message.ComputeTime >= TimeSpan.Zero ? null : "A figure is negative.");

    private static string? ProfileFault(DeviceProfile? profile) =>
        profile is null ? "Profile is missing."
        : double.IsFinite(profile.GigaflopsPerSecond) && profile.GigaflopsPerSecond > 0 && profile.MemoryBytes > 0
            && double.IsFinite(profile.UplinkBytesPerSecond) && profile.UplinkBytesPerSecond > 0 ? null
        : "Profile: every figure is finite and above zero.";

    private static string? NameFault(string field, string? text) =>
        text is { Length: > 0 and <= MaximumName } && !text.Any(char.IsControl) ? null : $"{field} has 1 to {MaximumName} characters, and no control characters.";

    private static string Shortened(string? text) => text is null ? "" : text.Length <= 40 ? text : text[..40] + "…";

    private sealed record Kind(Type Type, KindReader Read)
    {
        public static Kind Of<TMessage>(Func<TMessage, string?> speaker, Func<TMessage, string?> fault)
            where TMessage : class => new(typeof(TMessage), (device, body) =>
            {
                if (JsonSerializer.Deserialize<TMessage>(body, ControlMessageJson.Options) is not { } message)
                {
                    return (null, $"The body is null; expected a {typeof(TMessage).Name}.");
                }

                var reason = speaker(message) == device ? fault(message) : $"Device '{device}' speaks for '{Shortened(speaker(message))}'; it may speak for itself alone.";
                return reason is null
                    ? (new DeviceReport(device, message, (control, token) => control.PublishAsync(message, token)), null)
                    : (null, reason);
            });
    }

    private delegate (DeviceReport? Report, string? Reason) KindReader(string device, ReadOnlySpan<byte> body);
}
