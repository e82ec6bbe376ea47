using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace SplitFrozen.Contracts.Safetensors;

/// <summary>Writes a safetensors header: the one form that this system produces for given tensors and metadata.</summary>
internal static class SafetensorsHeaderText
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>
    /// Length prefix and JSON, padded with spaces so that the data begins at a multiple of 8. Entries are written in the
    /// given order, metadata by key (ordinal).
    /// </summary>
    public static ReadOnlySpan<byte> Build(IEnumerable<TensorEntry> entries, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        buffer.GetSpan(SafetensorsHeader.PrefixBytes)[..SafetensorsHeader.PrefixBytes].Clear();
        buffer.Advance(SafetensorsHeader.PrefixBytes);
        using (var json = new Utf8JsonWriter(buffer, Options))
        {
            WriteJson(json, entries, metadata);
        }

        var padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(8)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        var written = System.Runtime.InteropServices.MemoryMarshal.AsMemory(buffer.WrittenMemory).Span;
        BinaryPrimitives.WriteUInt64LittleEndian(written, (ulong)(written.Length - SafetensorsHeader.PrefixBytes));
        return written;
    }

    private static void WriteJson(Utf8JsonWriter json, IEnumerable<TensorEntry> entries, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        json.WriteStartObject();
        var first = true;
        foreach (var (key, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (first)
            {
                json.WriteStartObject("__metadata__"u8);
                first = false;
            }

            json.WriteString(key, value);
        }

        if (!first)
        {
            json.WriteEndObject();
        }

        foreach (var entry in entries)
        {
            json.WriteStartObject(entry.Name);
            json.WriteString("dtype"u8, entry.Type.Name());
            json.WriteStartArray("shape"u8);
            foreach (var extent in entry.Shape)
            {
                json.WriteNumberValue(extent);
            }

            json.WriteEndArray();
            json.WriteStartArray("data_offsets"u8);
            json.WriteNumberValue(entry.Begin);
            json.WriteNumberValue(entry.End);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }
}
