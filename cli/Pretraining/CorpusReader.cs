using System.IO.Compression;
using SplitFrozen.Tasks;

namespace SplitFrozen.Cli.Pretraining;

/// <summary>Reads the documents of a source as a stream: a corpus need not fit in memory as text.</summary>
internal static class CorpusReader
{
    /// <summary>The line that ends a document in a text corpus.</summary>
    public const string EndOfDocument = "<|endoftext|>";

    /// <summary>A text without end-of-document lines is cut at a paragraph once it is this long, so that a held-out part can be taken.</summary>
    private const int LongestDocument = 1 << 16;

    /// <summary>The paragraphs of each document: for a table, each row is a document of one paragraph.</summary>
    /// <exception cref="InputException">The file is damaged.</exception>
    public static IEnumerable<IReadOnlyList<string>> Documents(CorpusSource source)
    {
        var documents = source.Column is { } column
            ? TextColumn.Read(source.File, column).Select(text => (IReadOnlyList<string>)[text])
            : TextDocuments(source.File);
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

    private static IEnumerable<string> Lines(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        using var reader = new StreamReader(
            file.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(stream, CompressionMode.Decompress) : stream);
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
}
