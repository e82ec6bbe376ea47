using System.IO.MemoryMappedFiles;
using SplitFrozen.Contracts.Safetensors;

namespace SplitFrozen.Models.Weights;

/// <summary>One safetensors file, mapped into memory; its header is checked in full when it is opened.</summary>
internal sealed unsafe class MappedTensorFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private bool _disposed;

    private MappedTensorFile(string path, SafetensorsHeader header, MemoryMappedFile file)
    {
        Path = path;
        Header = header;
        _file = file;
        _view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        _start += _view.PointerOffset + header.DataStart;
    }

    internal string Path { get; }

    internal SafetensorsHeader Header { get; }

    internal static MappedTensorFile Open(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1);
            var header = SafetensorsHeader.Read(stream);
            var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, mapName: null, capacity: 0, MemoryMappedFileAccess.Read);
            return new MappedTensorFile(path, header, file);
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

    /// <summary>Up to 2 GiB of a tensor's bytes, from <paramref name="offset"/> on; a view of the mapping.</summary>
    internal ReadOnlySpan<byte> Bytes(TensorEntry entry, long offset, long length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (offset < 0 || length < 0 || offset + length > entry.ByteLength)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"Tensor {entry.Name} has {entry.ByteLength} bytes.");
        }

        return new ReadOnlySpan<byte>(_start + entry.Begin + offset, checked((int)length));
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
