using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace SplitFrozen.Contracts.Safetensors;

/// <summary>
/// The header of a safetensors file: 8 bytes of little-endian header length, then JSON, then the tensors' bytes. Parsing
/// trusts nothing: length, depth, names, types, shapes and offsets are checked before anything is allocated for a tensor,
/// and the tensors must cover the data exactly, without overlap and without holes, as the reference implementation asks.
/// </summary>
public sealed class SafetensorsHeader
{
    /// <summary>Largest header accepted by default, in bytes: the bound of the reference implementation.</summary>
    public const int DefaultMaximumHeaderBytes = 100_000_000;

    /// <summary>Bytes before the JSON: the header length.</summary>
    public const int PrefixBytes = sizeof(ulong);

    internal SafetensorsHeader(
        IReadOnlyDictionary<string, TensorEntry> entries, IReadOnlyDictionary<string, string> metadata, long dataStart, long dataLength)
    {
        Entries = entries;
        Metadata = metadata;
        DataStart = dataStart;
        DataLength = dataLength;
    }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries { get; }

    /// <summary>The <c>__metadata__</c> map; empty where there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Position of the first tensor byte in the file; offsets of entries count from here.</summary>
    public long DataStart { get; }

    /// <summary>Bytes of all tensors; <c>DataStart + DataLength</c> is the length of the file.</summary>
    public long DataLength { get; }

    /// <summary>Parses a header from the start of a file; never throws on bad input.</summary>
    /// <param name="fileStart">The file's first bytes, with the whole header in them; more may follow.</param>
    /// <param name="fileLength">Length of the whole file in bytes.</param>
    /// <param name="header">The header; null where the file is refused.</param>
    /// <param name="error">One sentence on what is wrong; null where the file is good.</param>
    /// <param name="maximumHeaderBytes">Largest JSON accepted, in bytes.</param>
    public static bool TryParse(
        ReadOnlySpan<byte> fileStart, long fileLength, [NotNullWhen(true)] out SafetensorsHeader? header,
        [NotNullWhen(false)] out string? error, int maximumHeaderBytes = DefaultMaximumHeaderBytes)
    {
        header = null;
        error = CheckPrefix(fileStart, fileLength, maximumHeaderBytes, out var headerBytes);
        if (error is not null)
        {
            return false;
        }

        if (fileStart.Length < PrefixBytes + headerBytes)
        {
            error = $"The header is cut off: it has {headerBytes} bytes and only {fileStart.Length - PrefixBytes} of them were given.";
            return false;
        }

        header = SafetensorsHeaderParser.Parse(fileStart.Slice(PrefixBytes, headerBytes), fileLength - PrefixBytes - headerBytes, out error);
        return header is not null;
    }

    /// <summary>Reads the header of a file; reads nothing of its tensors.</summary>
    /// <param name="stream">The file, at its beginning; its length must be known.</param>
    /// <param name="maximumHeaderBytes">Largest JSON accepted, in bytes.</param>
    /// <exception cref="SafetensorsException">The file is not a safetensors file, or its header lies.</exception>
    public static SafetensorsHeader Read(Stream stream, int maximumHeaderBytes = DefaultMaximumHeaderBytes)
    {
        ArgumentNullException.ThrowIfNull(stream);
        var length = stream.Length - stream.Position;
        Span<byte> prefix = stackalloc byte[16];
        prefix = prefix[..stream.ReadAtLeast(prefix, prefix.Length, throwOnEndOfStream: false)];
        var error = CheckPrefix(prefix, length, maximumHeaderBytes, out var headerBytes);
        if (error is null)
        {
            var start = new byte[PrefixBytes + headerBytes];
            var known = Math.Min(prefix.Length, start.Length);
            prefix[..known].CopyTo(start);
            var read = known + stream.ReadAtLeast(start.AsSpan(known), start.Length - known, throwOnEndOfStream: false);
            if (TryParse(start.AsSpan(0, read), length, out var header, out error, maximumHeaderBytes))
            {
                return header;
            }
        }

        throw new SafetensorsException(error);
    }

    /// <summary>Reads the header of the file at <paramref name="path"/>; errors name the file.</summary>
    /// <exception cref="SafetensorsException">The file is not a safetensors file, or its header lies.</exception>
    /// <exception cref="IOException">The file cannot be opened or read.</exception>
    public static SafetensorsHeader ReadFile(string path, int maximumHeaderBytes = DefaultMaximumHeaderBytes)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1);
        try
        {
            return Read(stream, maximumHeaderBytes);
        }
        catch (SafetensorsException exception)
        {
            throw new SafetensorsException($"{path}: {exception.Message}", exception);
        }
    }

    private static string? CheckPrefix(ReadOnlySpan<byte> start, long fileLength, int maximumHeaderBytes, out int headerBytes)
    {
        headerBytes = 0;
        if (fileLength < PrefixBytes || start.Length < PrefixBytes)
        {
            return $"The file has {Math.Min(fileLength, start.Length)} bytes, too few for a safetensors header; it is empty or cut off.";
        }

        var declared = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (declared > (ulong)maximumHeaderBytes)
        {
            return ForeignFormat.Recognise(start)
                ?? $"The header claims {declared} bytes; at most {maximumHeaderBytes} are accepted. This is not a safetensors file, or it is damaged.";
        }

        if (declared > (ulong)(fileLength - PrefixBytes))
        {
            return ForeignFormat.Recognise(start)
                ?? $"The header claims {declared} bytes, but the file ends {fileLength - PrefixBytes} bytes after the length; it is cut off or not a safetensors file.";
        }

        if (declared < 2 || (start.Length > PrefixBytes && start[PrefixBytes] != (byte)'{'))
        {
            return ForeignFormat.Recognise(start)
                ?? "The header does not begin with '{'; this is not a safetensors file.";
        }

        headerBytes = (int)declared;
        return null;
    }
}
