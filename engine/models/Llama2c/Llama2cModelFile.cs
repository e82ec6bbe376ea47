using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace SplitFrozen.Models.Llama2c;

/// <summary>
/// A model in llama2.c's legacy format, checked on opening: seven int32 (width, inner width, blocks, heads, key-value heads,
/// vocabulary, positions; a negative vocabulary means a head of its own), then float32 tensors, each kind for all blocks
/// together, then rotary tables that llama2.c itself ignores, then the head if there is one.
/// </summary>
internal sealed class Llama2cModelFile : IDisposable
{
    private const int HeaderBytes = 7 * sizeof(int);
    private const int VersionedMagic = 0x616B3432;

    private readonly string _path;
    private readonly FileStream _stream;

    private Llama2cModelFile(string path, FileStream stream, TransformerConfig config)
    {
        _path = path;
        _stream = stream;
        Config = config;
        Sections = Layout(config);
    }

    internal enum Section
    {
        Embedding, AttentionNorm, Query, Key, Value, Output, FeedForwardNorm, Gate, Down, Up, FinalNorm, Cosines, Sines, Head,
    }

    internal TransformerConfig Config { get; }

    /// <summary>Shape of one tensor of a section (of one block, where <c>PerBlock</c>) and where the section starts, in floats.</summary>
    internal IReadOnlyDictionary<Section, (long Start, int Rows, int Columns, bool PerBlock)> Sections { get; }

    /// <exception cref="ModelFormatException">The file is missing, of another format, truncated, or its sizes are impossible.</exception>
    internal static Llama2cModelFile Open(string path)
    {
        if (!File.Exists(path))
        {
            throw new ModelFormatException(path, "file", "does not exist. Name llama2.c's model file, for example stories260K.bin.");
        }

        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            var file = new Llama2cModelFile(path, stream, ReadHeader(path, stream));
            file.CheckLength();
            return file;
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    public void Dispose() => _stream.Dispose();

    /// <summary>Reads one matrix or vector, row-major.</summary>
    /// <exception cref="ModelFormatException">A number is not finite.</exception>
    internal float[] Read(Section section, int block)
    {
        var (start, rows, columns, _) = Sections[section];
        var values = new float[checked(rows * columns)];
        _stream.Position = HeaderBytes + ((start + ((long)block * values.Length)) * sizeof(float));
        _stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        for (var i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
            {
                throw new ModelFormatException(_path, $"{section} of block {block}", $"number {i} is {values[i]}. The file is damaged or of another format.");
            }
        }

        return values;
    }

    private static TransformerConfig ReadHeader(string path, FileStream stream)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes)
        {
            throw new ModelFormatException(path, "header", $"has {stream.Length} bytes where {HeaderBytes} are needed. The file is truncated or no llama2.c model.");
        }

        var fields = new int[7];
        for (var i = 0; i < fields.Length; i++)
        {
            fields[i] = BinaryPrimitives.ReadInt32LittleEndian(header[(i * sizeof(int))..]);
        }

        if (fields[0] == VersionedMagic)
        {
            throw new ModelFormatException(path, "header", $"is llama2.c's newer format (version {fields[1]}). Export the model with version 0, the legacy format.");
        }

        var limits = new (string Name, int Value, int Maximum)[]
        {
            ("width", fields[0], 1 << 16), ("inner width", fields[1], 1 << 20), ("number of blocks", fields[2], 1 << 12),
            ("number of heads", fields[3], 1 << 12), ("number of key-value heads", fields[4], 1 << 12),
            ("vocabulary size", fields[5] == int.MinValue ? 0 : Math.Abs(fields[5]), 1 << 24), ("number of positions", fields[6], 1 << 24),
        };
        foreach (var (name, value, maximum) in limits)
        {
            if (value < 1 || value > maximum)
            {
                throw new ModelFormatException(path, name, $"is {value}, expected 1 to {maximum}. The file is no llama2.c model in the legacy format.");
            }
        }

        var (width, heads, keyValueHeads) = (fields[0], fields[3], fields[4]);
        if (width % heads != 0 || width / heads % 2 != 0 || heads % keyValueHeads != 0)
        {
            throw new ModelFormatException(path, "heads", $"{heads} heads with {keyValueHeads} for keys and values do not share a width of {width} in even parts. The file is no llama2.c model in the legacy format.");
        }

        return new TransformerConfig
        {
            Family = ModelFamily.Llama,
            Layers = fields[2],
            Width = width,
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            HeadWidth = width / heads,
            InnerWidth = fields[1],
            VocabularySize = Math.Abs(fields[5]),
            MaximumPositions = fields[6],
            NormEpsilon = 1e-5,
            TieWordEmbeddings = fields[5] > 0,
            Rope = new RopeConfig(10000, null),
            BeginOfTextId = 1,
            EndOfTextId = 2,
        };
    }

    private static Dictionary<Section, (long Start, int Rows, int Columns, bool PerBlock)> Layout(TransformerConfig c)
    {
        var keyValueWidth = c.KeyValueHeads * c.HeadWidth;
        var order = new (Section Section, int Rows, int Columns, bool PerBlock)[]
        {
            (Section.Embedding, c.VocabularySize, c.Width, false), (Section.AttentionNorm, 1, c.Width, true),
            (Section.Query, c.Width, c.Width, true), (Section.Key, keyValueWidth, c.Width, true),
            (Section.Value, keyValueWidth, c.Width, true), (Section.Output, c.Width, c.Width, true),
            (Section.FeedForwardNorm, 1, c.Width, true), (Section.Gate, c.InnerWidth, c.Width, true),
            (Section.Down, c.Width, c.InnerWidth, true), (Section.Up, c.InnerWidth, c.Width, true),
            (Section.FinalNorm, 1, c.Width, false), (Section.Cosines, c.MaximumPositions, c.HeadWidth / 2, false),
            (Section.Sines, c.MaximumPositions, c.HeadWidth / 2, false),
            (Section.Head, c.TieWordEmbeddings ? 0 : c.VocabularySize, c.Width, false),
        };
        var sections = new Dictionary<Section, (long, int, int, bool)>();
        var start = 0L;
        foreach (var (section, rows, columns, perBlock) in order)
        {
            sections[section] = (start, rows, columns, perBlock);
            start += (long)rows * columns * (perBlock ? c.Layers : 1);
        }

        return sections;
    }

    private void CheckLength()
    {
        var (start, rows, columns, _) = Sections[Section.Head];
        var expected = HeaderBytes + ((start + ((long)rows * columns)) * sizeof(float));
        if (_stream.Length != expected)
        {
            throw new ModelFormatException(_path, "length", $"is {_stream.Length} bytes, but the sizes in the header need {expected}. The file is truncated or no llama2.c model in the legacy format.");
        }

        foreach (var (section, part) in Sections)
        {
            if ((long)part.Rows * part.Columns > Array.MaxLength / sizeof(float))
            {
                throw new ModelFormatException(_path, section.ToString(), $"of {part.Rows} x {part.Columns} numbers is too large to convert.");
            }
        }
    }
}
