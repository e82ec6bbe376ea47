using System.Text;
using System.Text.Json;
using CsvHelper;

namespace SplitFrozen.Tasks.Reading;

/// <summary>One row: its line, counted from 1, and its values by column. Columns without a text or number are absent.</summary>
internal sealed record DataRow(int Line, IReadOnlyDictionary<string, string> Values);

/// <summary>
/// Reads rows with named columns. The file's extension decides the form: <c>.tsv</c> has a header and no quoting,
/// <c>.csv</c> a header and RFC 4180 quoting, <c>.jsonl</c> one object a line. A row that cannot be read becomes a fault.
/// </summary>
internal static class RowFile
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>
    /// The rows in file order. <paramref name="columnsWithoutHeader"/>, where given, names the columns of a TSV file whose first
    /// line has none of these names.
    /// </summary>
    public static IEnumerable<DataRow> Read(DataFaults faults, IReadOnlyList<string>? columnsWithoutHeader = null) =>
        Path.GetExtension(faults.File).ToUpperInvariant() switch
        {
            ".TSV" => ReadTabSeparated(faults, columnsWithoutHeader),
            ".CSV" => ReadCommaSeparated(faults),
            ".JSONL" => ReadJsonLines(faults),
            var other => throw new DataException(
                faults.File, null, null, $"cannot tell the form from the extension '{other}'; name the file .tsv, .csv or .jsonl"),
        };

    /// <summary>True where every row has the columns that the first line names.</summary>
    public static bool HasHeader(string path) => !Path.GetExtension(path).Equals(".jsonl", StringComparison.OrdinalIgnoreCase);

    private static IEnumerable<DataRow> ReadTabSeparated(DataFaults faults, IReadOnlyList<string>? columnsWithoutHeader)
    {
        IReadOnlyList<string>? header = null;
        foreach (var line in Utf8Lines.Read(faults.File))
        {
            if (Decode(line.Number, line.Bytes.Span, faults) is not { } text)
            {
                continue;
            }

            var fields = text.Split('\t');
            if (header is null)
            {
                var isHeader = columnsWithoutHeader is null || fields.Any(f => columnsWithoutHeader.Contains(f, StringComparer.OrdinalIgnoreCase));
                header = isHeader ? fields : columnsWithoutHeader!;
                if (isHeader)
                {
                    continue;
                }
            }

            if (ToRow(line.Number, header, fields, faults) is { } row)
            {
                yield return row;
            }
        }
    }

    private static IEnumerable<DataRow> ReadCommaSeparated(DataFaults faults)
    {
        var options = CsvReaderOptions.Default with
        {
            Separator = ',',
            DetectSeparatorHint = false,
            TrackLineNumbers = true,
            MaxRecordSize = Utf8Lines.LongestLine,
            MalformedData = CsvMalformedDataHandling.Skip,
            OnMalformedRecord = record => faults.Add((int)record.LineNumber, null, Explain(record.Reason)),
        };
        using var reader = CsvReader.Create(Utf8Lines.Open(faults.File), options, leaveOpen: false);
        var header = TryRead(faults.File, () => reader.Headers.ToArray());
        while (TryRead(faults.File, reader.Read))
        {
            if (DecodeRecord(reader, faults) is { } fields && ToRow((int)reader.LineNumber, header, fields, faults) is { } row)
            {
                yield return row;
            }
        }
    }

    private static T TryRead<T>(string file, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (CsvFormatException e)
        {
            throw new DataException(file, (int)e.LineNumber, null, $"not CSV: {e.Message}", e);
        }
    }

    private static string[]? DecodeRecord(CsvReader reader, DataFaults faults)
    {
        var fields = new string[reader.FieldCount];
        for (var i = 0; i < fields.Length; i++)
        {
            if (Decode((int)reader.LineNumber, reader.GetSpan(i), faults) is not { } text)
            {
                return null;
            }

            fields[i] = text;
        }

        return fields;
    }

    private static string Explain(CsvMalformedReason reason) => reason switch
    {
        CsvMalformedReason.StrayQuote => "a quote stands inside a field that is not quoted; quote the field and double the quotes in it",
        CsvMalformedReason.TextAfterClosingQuote => "text follows the closing quote of a field; double the quotes inside quoted fields",
        CsvMalformedReason.UnterminatedQuote => "a quoted field is never closed; close it, and double the quotes inside it",
        _ => $"malformed ({reason}); quote fields with commas, quotes or line breaks, and double the quotes in them",
    };

    private static IEnumerable<DataRow> ReadJsonLines(DataFaults faults)
    {
        foreach (var line in Utf8Lines.Read(faults.File))
        {
            if (ParseObject(line, faults) is { } values)
            {
                yield return new DataRow(line.Number, values);
            }
        }
    }

    private static Dictionary<string, string>? ParseObject(Utf8Line line, DataFaults faults)
    {
        try
        {
            using var document = JsonDocument.Parse(line.Bytes);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                faults.Add(line.Number, null, $"found a JSON {document.RootElement.ValueKind}; expected one object with named fields");
                return null;
            }

            var values = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (property.Value.ValueKind is JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False)
                {
                    values[property.Name] = property.Value.ToString();
                }
            }

            return values;
        }
        catch (JsonException e)
        {
            faults.Add(line.Number, null, $"not JSON (byte {e.BytePositionInLine}); write one JSON object a line");
        }
        catch (InvalidOperationException)
        {
            faults.Add(line.Number, null, "a text is not valid Unicode (bad UTF-8 or half of a surrogate pair); correct or remove the row");
        }

        return null;
    }

    private static string? Decode(int line, ReadOnlySpan<byte> bytes, DataFaults faults)
    {
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            faults.Add(line, null, "not valid UTF-8; save the file as UTF-8");
            return null;
        }
    }

    private static DataRow? ToRow(int line, IReadOnlyList<string> header, string[] fields, DataFaults faults)
    {
        if (fields.Length != header.Count)
        {
            faults.Add(line, null, $"found {fields.Length} fields; expected {header.Count} ({string.Join(", ", header)})");
            return null;
        }

        var values = new Dictionary<string, string>(fields.Length, StringComparer.Ordinal);
        for (var i = 0; i < fields.Length; i++)
        {
            values[header[i]] = fields[i];
        }

        return new DataRow(line, values);
    }
}
