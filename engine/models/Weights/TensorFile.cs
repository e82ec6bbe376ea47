using Microsoft.Win32.SafeHandles;
using SplitFrozen.Contracts.Safetensors;

namespace SplitFrozen.Models.Weights;

/// <summary>
/// One safetensors file; its header is checked in full when it is opened. What is asked for is read into the caller's memory, where it is needed:
/// a mapping's pages would count as the process's own memory beside the tensors made of them. Safe from several threads.
/// </summary>
internal sealed class TensorFile : IDisposable
{
    private readonly SafeFileHandle _file;

    private TensorFile(string path, SafetensorsHeader header, SafeFileHandle file)
    {
        Path = path;
        Header = header;
        _file = file;
    }

    internal string Path { get; }

    internal SafetensorsHeader Header { get; }

    internal static TensorFile Open(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1);
            var header = SafetensorsHeader.Read(stream);
            return new TensorFile(path, header, File.OpenHandle(path));
        }
        catch (SafetensorsException exception)
        {
            throw new ModelFormatException(path, "header", exception.Message);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException(path, "file", $"cannot be read: {exception.Message}");
        }
    }

    /// <summary>Fills <paramref name="target"/> with a tensor's bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="ModelFormatException">The file has become shorter, or cannot be read any more.</exception>
    internal void Read(TensorEntry entry, long offset, Span<byte> target)
    {
        ObjectDisposedException.ThrowIf(_file.IsClosed, this);
        if (offset < 0 || offset + target.Length > entry.ByteLength)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"Tensor {entry.Name} has {entry.ByteLength} bytes.");
        }

        var position = Header.DataStart + entry.Begin + offset;
        while (target.Length > 0)
        {
            int read;
            try
            {
                read = RandomAccess.Read(_file, target, position);
            }
            catch (IOException exception)
            {
                throw new ModelFormatException(Path, entry.Name, $"cannot be read: {exception.Message}");
            }

            if (read == 0)
            {
                throw new ModelFormatException(Path, entry.Name, "ends before its header says: the file was changed while it was open.");
            }

            position += read;
            target = target[read..];
        }
    }

    public void Dispose() => _file.Dispose();
}
