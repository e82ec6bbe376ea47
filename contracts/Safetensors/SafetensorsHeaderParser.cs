using System.Text;
using System.Text.Json;

namespace SplitFrozen.Contracts.Safetensors;

/// <summary>Reads the JSON of a safetensors header and checks it against the bytes that follow it.</summary>
internal static class SafetensorsHeaderParser
{
    private const int MaximumRank = 16;
    private const int ShownNameLength = 80;

    /// <summary>Parses the header JSON; null with an error where it is refused.</summary>
    public static SafetensorsHeader? Parse(ReadOnlySpan<byte> json, long dataLength, out string? error)
    {
        try
        {
            // Three levels are all there is: the file, a tensor, its shape.
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 3 });
            var entries = new Dictionary<string, TensorEntry>();
            var metadata = new Dictionary<string, string>();
            error = ReadFile(ref reader, entries, metadata) ?? CheckCover(entries.Values, dataLength);
            return error is null
                ? new SafetensorsHeader(entries, metadata, SafetensorsHeader.PrefixBytes + json.Length, dataLength)
                : null;
        }
        catch (JsonException exception)
        {
            error = $"The header is not valid JSON at byte {exception.BytePositionInLine ?? 0} of line {exception.LineNumber ?? 0}.";
            return null;
        }
        catch (InvalidOperationException)
        {
            // GetString answers so for text that is not valid UTF-8 and for lone surrogates.
            error = "The header holds a string that is not valid Unicode.";
            return null;
        }
    }

    /// <summary>A name from a file, fit to be shown in an error: short and without control characters.</summary>
    public static string Show(string name)
    {
        var text = new StringBuilder("'");
        foreach (var character in name.AsSpan(0, Math.Min(name.Length, ShownNameLength)))
        {
            text.Append(char.IsControl(character) || char.IsSurrogate(character) ? '?' : character);
        }

        return text.Append(name.Length > ShownNameLength ? "…'" : "'").ToString();
    }

    private static string? ReadFile(ref Utf8JsonReader reader, Dictionary<string, TensorEntry> entries, Dictionary<string, string> metadata)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return "The header is not a JSON object.";
        }

        var metadataSeen = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string? error;
            if (reader.ValueTextEquals("__metadata__"u8))
            {
                error = metadataSeen ? "The header has two '__metadata__' sections." : ReadMetadata(ref reader, metadata);
                metadataSeen = true;
            }
            else
            {
                var name = reader.GetString()!;
                error = ReadTensor(ref reader, name, out var entry);
                if (error is null && !entries.TryAdd(name, entry!))
                {
                    error = $"The header has two tensors named {Show(name)}.";
                }
            }

            if (error is not null)
            {
                return error;
            }
        }

        // Anything but white space after the object makes this throw.
        reader.Read();
        return null;
    }

    private static string? ReadMetadata(ref Utf8JsonReader reader, Dictionary<string, string> metadata)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return "'__metadata__' is not a JSON object.";
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            if (!reader.Read() || reader.TokenType != JsonTokenType.String)
            {
                return $"Metadata entry {Show(key)} is not a string.";
            }

            if (!metadata.TryAdd(key, reader.GetString()!))
            {
                return $"Metadata entry {Show(key)} is there twice.";
            }
        }

        return null;
    }

    private static string? ReadTensor(ref Utf8JsonReader reader, string name, out TensorEntry? entry)
    {
        entry = null;
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return $"Tensor {Show(name)} is not described by a JSON object.";
        }

        string? typeName = null;
        List<long>? shape = null;
        List<long>? offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string? error;
            if (reader.ValueTextEquals("dtype"u8) && typeName is null)
            {
                reader.Read();
                typeName = reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
                error = typeName is null ? "has a 'dtype' that is not a string" : null;
            }
            else if (reader.ValueTextEquals("shape"u8) && shape is null)
            {
                error = ReadNumbers(ref reader, "shape", out shape);
            }
            else if (reader.ValueTextEquals("data_offsets"u8) && offsets is null)
            {
                error = ReadNumbers(ref reader, "data_offsets", out offsets);
            }
            else
            {
                error = $"has a field {Show(reader.GetString()!)} that is unknown or there twice";
            }

            if (error is not null)
            {
                return $"Tensor {Show(name)} {error}.";
            }
        }

        var fault = CheckTensor(typeName, shape, offsets, out var type);
        if (fault is not null)
        {
            return $"Tensor {Show(name)} {fault}.";
        }

        entry = new TensorEntry(name, type, [.. shape!], offsets![0], offsets[1]);
        return null;
    }

    private static string? ReadNumbers(ref Utf8JsonReader reader, string field, out List<long>? numbers)
    {
        numbers = [];
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartArray)
        {
            return $"has a '{field}' that is not an array";
        }

        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var number) || number < 0)
            {
                return $"has a '{field}' entry that is not a whole number from 0 to 2^63-1";
            }

            if (numbers.Count == MaximumRank)
            {
                return $"has a '{field}' with more than {MaximumRank} entries";
            }

            numbers.Add(number);
        }

        return null;
    }

    private static string? CheckTensor(string? typeName, List<long>? shape, List<long>? offsets, out ElementType type)
    {
        type = default;
        if (typeName is null || shape is null || offsets is null)
        {
            return $"has no '{(typeName is null ? "dtype" : shape is null ? "shape" : "data_offsets")}'";
        }

        if (!ElementTypes.TryParse(typeName, out type))
        {
            return $"has the element type {Show(typeName)}, which is not supported (F64, F32, F16, BF16, I64, I32, I8, U8 and BOOL are)";
        }

        if (offsets.Count != 2 || offsets[1] < offsets[0])
        {
            return "has 'data_offsets' that are not a begin and an end";
        }

        Int128 bytes = type.Bytes();
        foreach (var extent in shape)
        {
            bytes *= extent;
            if (bytes > long.MaxValue)
            {
                return $"has the shape [{string.Join(", ", shape)}], more bytes than a file can have";
            }
        }

        return bytes == offsets[1] - offsets[0]
            ? null
            : $"has the shape [{string.Join(", ", shape)}] of {type.Name()}, which is {bytes} bytes, but its offsets span {offsets[1] - offsets[0]}";
    }

    private static string? CheckCover(IEnumerable<TensorEntry> entries, long dataLength)
    {
        var position = 0L;
        foreach (var entry in entries.OrderBy(entry => entry.Begin).ThenBy(entry => entry.End))
        {
            if (entry.End > dataLength)
            {
                return $"Tensor {Show(entry.Name)} ends at byte {entry.End} of the data, but the data has {dataLength}; the file is cut off or its header lies.";
            }

            if (entry.Begin != position)
            {
                return entry.Begin < position
                    ? $"Tensor {Show(entry.Name)} overlaps another one: it begins at byte {entry.Begin}, before {position}."
                    : $"There is a hole of {entry.Begin - position} bytes before tensor {Show(entry.Name)}; tensors must follow each other.";
            }

            position = entry.End;
        }

        return position == dataLength ? null : $"{dataLength - position} bytes after the last tensor belong to none.";
    }
}
