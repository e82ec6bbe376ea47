namespace SplitFrozen.Contracts.Safetensors;

/// <summary>
/// Writes a safetensors file without holding it in memory. The same tensors and metadata give the same bytes whatever the
/// order of the calls: tensors lie by element width, widest first, then by name, so that each is aligned to its elements.
/// </summary>
public sealed class SafetensorsWriter
{
    private readonly Dictionary<string, Pending> _tensors = [];
    private readonly Dictionary<string, string> _metadata = [];

    /// <summary>Adds an entry of <c>__metadata__</c>; an entry of the same key is replaced.</summary>
    public void SetMetadata(string key, string value) => _metadata[key] = value;

    /// <summary>Adds a tensor whose bytes are at hand.</summary>
    /// <param name="name">Name, unique in the file.</param>
    /// <param name="type">Element type.</param>
    /// <param name="shape">Extents; empty for a scalar.</param>
    /// <param name="bytes">The elements, row-major, little-endian; unchanged until the file is written.</param>
    /// <exception cref="ArgumentException">The name is taken or reserved, or the bytes do not fit the shape.</exception>
    public void Add(string name, ElementType type, long[] shape, ReadOnlyMemory<byte> bytes)
    {
        Add(name, type, shape, stream => stream.Write(bytes.Span));
        if (_tensors[name].Length != bytes.Length)
        {
            _tensors.Remove(name);
            throw new ArgumentException($"Tensor '{name}' of shape [{string.Join(", ", shape)}] and type {type.Name()} does not have {bytes.Length} bytes.", nameof(bytes));
        }
    }

    /// <summary>Adds a tensor whose bytes are produced when the file is written.</summary>
    /// <param name="name">Name, unique in the file.</param>
    /// <param name="type">Element type.</param>
    /// <param name="shape">Extents, each at least 0; empty for a scalar.</param>
    /// <param name="write">Writes exactly the tensor's bytes to the stream, row-major, little-endian.</param>
    /// <exception cref="ArgumentException">The name is taken or reserved, or an extent is negative.</exception>
    public void Add(string name, ElementType type, long[] shape, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(write);
        if (name == "__metadata__" || shape.Any(extent => extent < 0))
        {
            throw new ArgumentException($"Tensor '{name}' of shape [{string.Join(", ", shape)}] cannot be written: the name is reserved or an extent is negative.", nameof(name));
        }

        var length = shape.Aggregate((long)type.Bytes(), (bytes, extent) => checked(bytes * extent));
        if (!_tensors.TryAdd(name, new Pending(type, [.. shape], length, write)))
        {
            throw new ArgumentException($"There is already a tensor named '{name}'.", nameof(name));
        }
    }

    /// <summary>Bytes of the file as it stands now.</summary>
    public long Length
    {
        get
        {
            var entries = Layout();
            return SafetensorsHeaderText.Build(entries, _metadata).Length + (entries.Count == 0 ? 0 : entries[^1].End);
        }
    }

    /// <summary>Writes the file to the stream's position.</summary>
    /// <exception cref="InvalidOperationException">A tensor's callback wrote more or fewer bytes than its shape says.</exception>
    public void WriteTo(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        var entries = Layout();
        stream.Write(SafetensorsHeaderText.Build(entries, _metadata));
        foreach (var entry in entries)
        {
            using var counted = new CountingStream(stream, entry.ByteLength);
            _tensors[entry.Name].Write(counted);
            if (counted.Written != entry.ByteLength)
            {
                throw new InvalidOperationException($"Tensor '{entry.Name}' has {entry.ByteLength} bytes by its shape, but {counted.Written} were written.");
            }
        }
    }

    private List<TensorEntry> Layout()
    {
        var entries = new List<TensorEntry>(_tensors.Count);
        var position = 0L;
        foreach (var (name, tensor) in _tensors.OrderByDescending(pair => pair.Value.Type.Bytes()).ThenBy(pair => pair.Key, StringComparer.Ordinal))
        {
            var end = checked(position + tensor.Length);
            entries.Add(new TensorEntry(name, tensor.Type, tensor.Shape, position, end));
            position = end;
        }

        return entries;
    }

    private sealed record Pending(ElementType Type, long[] Shape, long Length, Action<Stream> Write);

    private sealed class CountingStream(Stream inner, long limit) : Stream
    {
        public long Written { get; private set; }

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => Written;

        public override long Position
        {
            get => Written;
            set => throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (Written + buffer.Length > limit)
            {
                throw new InvalidOperationException($"A tensor of {limit} bytes by its shape was written with more.");
            }

            inner.Write(buffer);
            Written += buffer.Length;
        }

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
