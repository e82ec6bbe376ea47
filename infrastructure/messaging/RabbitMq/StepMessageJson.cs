using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>Step messages as JSON: names in snake case, a sample id as its number. Every member must be there.</summary>
internal static class StepMessageJson
{
    public const string ContentType = "application/json";

    public static byte[] Encode(StepMessage step) => JsonSerializer.SerializeToUtf8Bytes(step, StepMessageContext.Default.StepMessage);

    public static bool TryDecode(ReadOnlyMemory<byte> body, [NotNullWhen(true)] out StepMessage? step, [NotNullWhen(false)] out string? reason)
    {
        try
        {
            step = JsonSerializer.Deserialize(body.Span, StepMessageContext.Default.StepMessage);
            reason = step is null ? "The message is not a step message: it is null." : null;
            return step is not null;
        }
        catch (JsonException exception)
        {
            (step, reason) = (null, $"The message is not a step message: {exception.Message}");
            return false;
        }
    }
}

/// <summary>The generated serializer.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    Converters = [typeof(SampleIdConverter), typeof(StepKindConverter)])]
[JsonSerializable(typeof(StepMessage))]
internal sealed partial class StepMessageContext : JsonSerializerContext;

internal sealed class StepKindConverter() : JsonStringEnumConverter<StepKind>(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false);
