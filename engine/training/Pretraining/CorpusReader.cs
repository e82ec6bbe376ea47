using System.IO.Compression;
using System.Text;
using System.Text.Json;

namespace SplitFrozen.Training.Pretraining;

/// <summary>Reads documents from a text file. A long document comes as several passages, so that it can be mixed with others.</summary>
internal static class CorpusReader
{
    /// <summary>A passage is closed at the first line end beyond this many characters.</summary>
    public const int PassageCharacters = 8192;

    private static readonly UTF8Encoding _strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The documents in file order, each as its passages; empty documents are left out.</summary>
    public static IEnumerable<string[]> Read(CorpusInput input)
    {
        var documents = input.Form switch
        {
            CorpusForm.Documents => ByParagraphs(Lines(input.Path)),
            CorpusForm.Lines => Lines(input.Path).Where(line => !string.IsNullOrWhiteSpace(line)).Select(line => new[] { line }),
            _ => CorpusTable.Rows(input, Lines(input.Path)).Where(text => text.Length > 0).Select(text => new[] { text }),
        };
        return documents;
    }

    private static IEnumerable<string[]> ByParagraphs(IEnumerable<string> lines)
    {
        var passages = new List<string>();
        var passage = new StringBuilder();
        foreach (var line in lines.Append(CorpusInput.DocumentEnd))
        {
            var ends = line == CorpusInput.DocumentEnd;
            if (!ends && line.Length > 0)
            {
                _ = passage.Append(passage.Length > 0 ? "\n" : "").Append(line);
            }

            if (passage.Length > (ends ? 0 : PassageCharacters))
            {
                passages.Add(passage.ToString());
                _ = passage.Clear();
            }

            if (ends && passages.Count > 0)
            {
                yield return [.. passages];
                passages.Clear();
            }
        }
    }

    private static IEnumerable<string> Lines(string path)
    {
        using var reader = Open(path);
        for (var number = 1L; ; number++)
        {
            string? line;
            try
            {
                line = reader.ReadLine();
            }
            catch (Exception exception) when (exception is DecoderFallbackException or InvalidDataException)
            {
                throw new CorpusException(path, $"after line {number - 1}: {Describe(exception)}", exception);
            }

            if (line is null)
            {
                yield break;
            }

            yield return line;
        }
    }

    private static string Describe(Exception exception) => exception is DecoderFallbackException
        ? "not UTF-8; convert the file."
        : "the gzip stream is damaged; fetch the file again.";

    private static StreamReader Open(string path)
    {
        Stream file;
        try
        {
            file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CorpusException(path, $"cannot be opened: {exception.Message}", exception);
        }

        var content = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : file;
        return new StreamReader(content, _strictUtf8);
    }
}

/// <summary>Takes text columns out of the rows of a data set.</summary>
internal static class CorpusTable
{
    public static IEnumerable<string> Rows(CorpusInput input, IEnumerable<string> lines)
    {
        var name = input.Path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? input.Path[..^3] : input.Path;
        return Path.GetExtension(name).ToUpperInvariant() switch
        {
            ".JSONL" => JsonRows(input, lines),
            ".TSV" => TabRows(input, lines),
            _ => throw new CorpusException(input.Path, "only .jsonl and .tsv files have columns; read a plain text file without naming columns."),
        };
    }

    private static IEnumerable<string> JsonRows(CorpusInput input, IEnumerable<string> lines)
    {
        var number = 0;
        foreach (var line in lines)
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
            {
                yield return JsonRow(input, line, number);
            }
        }
    }

    private static string JsonRow(CorpusInput input, string line, int number)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return string.Join('\n', input.Columns.Select(column => document.RootElement.GetProperty(column).GetString()));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new CorpusException(
                input.Path, $"line {number}: needs a JSON object with the texts {string.Join(", ", input.Columns)}.", exception);
        }
    }

    private static IEnumerable<string> TabRows(CorpusInput input, IEnumerable<string> lines)
    {
        int[]? columns = null;
        var number = 0;
        foreach (var line in lines)
        {
            number++;
            var fields = line.Split('\t');
            if (columns is null)
            {
                columns = [.. input.Columns.Select(column => Array.IndexOf(fields, column))];
                if (columns.Contains(-1))
                {
                    throw new CorpusException(input.Path, $"line 1: has the columns {string.Join(", ", fields)}, not all of {string.Join(", ", input.Columns)}.");
                }
            }
            else if (line.Length > 0)
            {
                yield return columns.Max() < fields.Length
                    ? string.Join('\n', columns.Select(column => fields[column].Trim()))
                    : throw new CorpusException(input.Path, $"line {number}: has only {fields.Length} columns.");
            }
        }
    }
}
