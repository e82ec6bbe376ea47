using System.Globalization;
using System.IO.Compression;
using System.Text.Json;
using CsvHelper;
using CsvHelper.Configuration;

namespace SplitFrozen.Cli.Pretraining;

/// <summary>Reads the documents of a source as a stream: a corpus need not fit in memory as text.</summary>
internal static class CorpusReader
{
    /// <summary>The line that ends a document in a text corpus.</summary>
    public const string EndOfDocument = "<|endoftext|>";

    /// <summary>A text without end-of-document lines is cut at a paragraph once it is this long, so that a held-out part can be taken.</summary>
    private const int LongestDocument = 1 << 16;

    /// <summary>The paragraphs of each document: for a table, each row is a document of one paragraph.</summary>
    /// <exception cref="InputException">The file is damaged or the column is not there.</exception>
    public static IEnumerable<IReadOnlyList<string>> Documents(CorpusSource source)
    {
        var documents = source.Column is null ? TextDocuments(source.File) : Rows(source).Select(row => (IReadOnlyList<string>)[row]);
        return documents.Where(document => document.Count > 0);
    }

    private static IEnumerable<IReadOnlyList<string>> TextDocuments(string file)
    {
        var document = new List<string>();
        var characters = 0;
        foreach (var line in Lines(file))
        {
            if (line == EndOfDocument)
            {
                yield return document;
                (document, characters) = ([], 0);
            }
            else if (line.Length > 0)
            {
                document.Add(line);
                characters += line.Length;
                if (characters > LongestDocument)
                {
                    yield return document;
                    (document, characters) = ([], 0);
                }
            }
        }

        yield return document;
    }

    private static IEnumerable<string> Rows(CorpusSource source)
    {
        var name = source.File.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? source.File[..^3] : source.File;
        var rows = Path.GetExtension(name).ToUpperInvariant() switch
        {
            ".TSV" => TabSeparated(source),
            ".CSV" => CommaSeparated(source),
            ".JSONL" or ".NDJSON" => JsonLines(source),
            var other => throw new InputException($"{source.File}: a column can be read from .tsv, .csv and .jsonl files, not from '{other}'."),
        };
        return rows.Select(row => row.Trim()).Where(row => row.Length > 0);
    }

    private static IEnumerable<string> TabSeparated(CorpusSource source)
    {
        var column = NumberedColumn(source);
        foreach (var line in Lines(source.File))
        {
            var cells = line.Split('\t');
            if (column is not { } index)
            {
                index = Array.IndexOf(cells, source.Column!);
                column = index >= 0 ? index : throw NoColumn(source, cells);
                continue;
            }

            if (index < cells.Length)
            {
                yield return cells[index];
            }
        }
    }

    private static IEnumerable<string> CommaSeparated(CorpusSource source)
    {
        using var reader = Open(source.File);
        using var csv = new CsvReader(reader, new CsvConfiguration(CultureInfo.InvariantCulture) { BadDataFound = null });
        var column = NumberedColumn(source);
        while (csv.Read())
        {
            if (column is not { } index)
            {
                index = Array.IndexOf(csv.Parser.Record!, source.Column!);
                column = index >= 0 ? index : throw NoColumn(source, csv.Parser.Record!);
                continue;
            }

            if (index < csv.Parser.Count)
            {
                yield return csv.Parser[index];
            }
        }
    }

    private static IEnumerable<string> JsonLines(CorpusSource source)
    {
        var number = 0;
        foreach (var line in Lines(source.File))
        {
            number++;
            if (line.Length == 0)
            {
                continue;
            }

            yield return JsonField(source, line, number);
        }
    }

    private static string JsonField(CorpusSource source, string line, int number)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement.TryGetProperty(source.Column!, out var value) && value.ValueKind == JsonValueKind.String
                ? value.GetString()!
                : throw NoColumn(source, [.. json.RootElement.EnumerateObject().Select(property => property.Name)]);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new InputException($"{source.File}:{number}: not a JSON object: {exception.Message}", exception);
        }
    }

    private static IEnumerable<string> Lines(string file)
    {
        using var reader = Open(file);
        while (ReadLine(reader, file) is { } line)
        {
            yield return line;
        }
    }

    private static string? ReadLine(StreamReader reader, string file)
    {
        try
        {
            return reader.ReadLine();
        }
        catch (InvalidDataException exception)
        {
            throw new InputException($"{file}: not a whole gzip file: {exception.Message}", exception);
        }
    }

    private static StreamReader Open(string file)
    {
        Stream stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        return new StreamReader(file.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(stream, CompressionMode.Decompress) : stream);
    }

    private static int? NumberedColumn(CorpusSource source) =>
        source.Column is ['#', .. var digits] && int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number - 1
            : null;

    private static InputException NoColumn(CorpusSource source, IReadOnlyList<string> present) =>
        new($"{source.File}: there is no column '{source.Column}'. Columns: {string.Join(", ", present)}. "
            + "For a table without a header write '#1' for its first column.");
}
