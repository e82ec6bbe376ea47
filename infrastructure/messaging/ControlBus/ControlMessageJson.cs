using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using MassTransit.Serialization;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>How control messages are written as JSON: exact numbers, names for enums, and a packed form for manifests.</summary>
internal static class ControlMessageJson
{
    public static JsonSerializerOptions Options { get; } = Create();

    private static JsonSerializerOptions Create()
    {
        // The library's own converters read its envelope; they come along.
        var options = new JsonSerializerOptions(SystemTextJsonMessageSerializer.Options)
        {
            WriteIndented = false,

            // A loss may be NaN or infinite; the run says so instead of failing to say anything.
            NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        };
        JsonConverter[] own =
        [
            new SampleIdConverter(), new ContentDigestConverter(), new ManifestConverter(), new JsonStringEnumConverter(namingPolicy: null, allowIntegerValues: false),
        ];
        for (var i = 0; i < own.Length; i++)
        {
            options.Converters.Insert(i, own[i]);
        }

        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }

    private sealed class ContentDigestConverter : JsonConverter<ContentDigest>
    {
        public override ContentDigest Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            reader.TokenType == JsonTokenType.String && reader.GetString() is { Length: 32 } text
                && UInt128.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
                ? new ContentDigest(value)
                : throw new JsonException("A content digest is a string of 32 hex digits.");

        public override void Write(Utf8JsonWriter writer, ContentDigest value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
    }

    /// <summary>A manifest as base64 of its packed form.</summary>
    private sealed class ManifestConverter : JsonConverter<ManifestEntry[]>
    {
        public override ManifestEntry[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            reader.TokenType == JsonTokenType.String && reader.TryGetBytesFromBase64(out var bytes) && PackedManifest.TryUnpack(bytes) is { } entries
                ? entries
                : throw new JsonException($"A manifest is a base64 string of {PackedManifest.RecordBytes}-byte records.");

        public override void Write(Utf8JsonWriter writer, ManifestEntry[] value, JsonSerializerOptions options) =>
            writer.WriteBase64StringValue(PackedManifest.Pack(value));
    }
}
