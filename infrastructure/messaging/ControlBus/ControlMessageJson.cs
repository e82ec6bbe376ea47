using System.Buffers.Binary;
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

    /// <summary>
    /// A manifest as base64 of 28-byte little-endian records: id (8), length (4), digest (16). 37 bytes a sample instead of
    /// about 90, so that 400,000 samples fit into one message.
    /// </summary>
    private sealed class ManifestConverter : JsonConverter<ManifestEntry[]>
    {
        private const int RecordBytes = 8 + 4 + 16;

        public override ManifestEntry[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            if (reader.TokenType != JsonTokenType.String || !reader.TryGetBytesFromBase64(out var bytes) || bytes.Length % RecordBytes != 0)
            {
                throw new JsonException($"A manifest is a base64 string of {RecordBytes}-byte records.");
            }

            var entries = new ManifestEntry[bytes.Length / RecordBytes];
            for (var i = 0; i < entries.Length; i++)
            {
                var record = bytes.AsSpan(i * RecordBytes, RecordBytes);
                entries[i] = new ManifestEntry(
                    new SampleId(BinaryPrimitives.ReadInt64LittleEndian(record)),
                    BinaryPrimitives.ReadInt32LittleEndian(record[8..]),
                    new ContentDigest(BinaryPrimitives.ReadUInt128LittleEndian(record[12..])));
            }

            return entries;
        }

        public override void Write(Utf8JsonWriter writer, ManifestEntry[] value, JsonSerializerOptions options)
        {
            var bytes = new byte[value.Length * RecordBytes];
            for (var i = 0; i < value.Length; i++)
            {
                var record = bytes.AsSpan(i * RecordBytes, RecordBytes);
                BinaryPrimitives.WriteInt64LittleEndian(record, value[i].Id.Value);
                BinaryPrimitives.WriteInt32LittleEndian(record[8..], value[i].Length);
                BinaryPrimitives.WriteUInt128LittleEndian(record[12..], value[i].Digest.Value);
            }

            writer.WriteBase64StringValue(bytes);
        }
    }
}
