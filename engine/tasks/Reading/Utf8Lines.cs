namespace SplitFrozen.Tasks.Reading;

/// <summary>A line of a file as bytes, without its line end; the bytes are valid until the next line is asked for.</summary>
internal readonly record struct Utf8Line(int Number, ReadOnlyMemory<byte> Bytes);

/// <summary>Reads a file line by line as bytes, so that bad UTF-8 and bad JSON can be reported with their line.</summary>
internal static class Utf8Lines
{
    /// <summary>Most bytes of one row.</summary>
    public const int LongestLine = 64 << 20;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>Opens a data file for reading from its start.</summary>
    /// <exception cref="DataException">The file does not exist or cannot be read.</exception>
    public static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DataException(path, null, null, "the file does not exist; correct the path (relative to the spec file) or fetch the data", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DataException(path, null, null, $"the file cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The lines that are not blank, numbered from 1 with blank ones counted; a byte order mark is dropped.</summary>
    /// <exception cref="DataException">The file cannot be read, or a line is longer than 64 MiB.</exception>
    public static IEnumerable<Utf8Line> Read(string path)
    {
        using var file = Open(path);
        var buffer = new byte[1 << 16];
        var (start, end, number, atEnd) = (0, 0, 0, false);
        while (!atEnd || start < end)
        {
            var length = buffer.AsSpan(start, end - start).IndexOf((byte)'\n');
            if (length < 0 && !atEnd)
            {
                (buffer, end) = MakeRoom(path, buffer, start, end, number);
                start = 0;
                var count = file.Read(buffer, end, buffer.Length - end);
                end += count;
                atEnd = count == 0;
                continue;
            }

            var lineEnd = length < 0 ? end : start + length;
            var bytes = Trim(buffer.AsMemory(start, lineEnd - start), first: ++number == 1);
            start = Math.Min(end, lineEnd + 1);
            if (bytes.Span.ContainsAnyExcept((byte)' ', (byte)'\t'))
            {
                yield return new Utf8Line(number, bytes);
            }
        }
    }

    private static (byte[] Buffer, int End) MakeRoom(string path, byte[] buffer, int start, int end, int number)
    {
        var kept = end - start;
        if (kept > LongestLine)
        {
            throw new DataException(path, number + 1, null, "the line is longer than 64 MiB; is this a text file with one row a line?");
        }

        var target = kept > buffer.Length / 2 ? new byte[buffer.Length * 2] : buffer;
        buffer.AsSpan(start, kept).CopyTo(target);
        return (target, kept);
    }

    private static Memory<byte> Trim(Memory<byte> line, bool first)
    {
        if (first && line.Span.StartsWith(ByteOrderMark))
        {
            line = line[ByteOrderMark.Length..];
        }

        return line.Span.EndsWith("\r"u8) ? line[..^1] : line;
    }
}
