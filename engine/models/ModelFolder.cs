using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models.Weights;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// A Hugging Face model folder: <c>config.json</c> and <c>model.safetensors</c> (or its shards). The weights are mapped, and
/// only what is loaded is read. Tensor names are canonical: without the prefix <c>transformer.</c> (GPT-2) or <c>model.</c>
/// (Llama) that some files have, and without buffers that are no weights. Loading is safe from several threads.
/// </summary>
public sealed class ModelFolder : IDisposable
{
    private const int ChunkBytes = 1 << 26;

    private readonly MappedTensorFile[] _files;
    private readonly SortedDictionary<string, (MappedTensorFile File, TensorEntry Entry)> _tensors;
    private readonly Lazy<string> _fingerprint;

    private ModelFolder(string path, TransformerConfig config, MappedTensorFile[] files, SortedDictionary<string, (MappedTensorFile, TensorEntry)> tensors)
    {
        Path = path;
        Config = config;
        _files = files;
        _tensors = tensors;
        _fingerprint = new(ComputeFingerprint, LazyThreadSafetyMode.ExecutionAndPublication);
    }

    /// <summary>Path of the folder.</summary>
    public string Path { get; }

    /// <summary>The model's sizes and constants.</summary>
    public TransformerConfig Config { get; }

    /// <summary>
    /// SHA-256, as 64 hexadecimal digits, over the sizes and constants that change results and over every weight. Computed
    /// once, on first use, by reading all weights.
    /// </summary>
    public string Fingerprint => _fingerprint.Value;

    /// <summary>Canonical names of the weights, in ordinal order.</summary>
    public IEnumerable<string> TensorNames => _tensors.Keys;

    /// <summary>Opens a folder and checks its configuration and the headers of its weight files.</summary>
    /// <exception cref="ModelFormatException">The folder, a file or a field is missing or wrong.</exception>
    public static ModelFolder Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!Directory.Exists(path))
        {
            throw new ModelFormatException(path, "folder", "does not exist. Name a folder with config.json and model.safetensors.");
        }

        var config = TransformerConfig.Read(path);
        var (paths, placement) = ShardIndex.Find(path);
        var files = new List<MappedTensorFile>();
        try
        {
            foreach (var file in paths)
            {
                files.Add(MappedTensorFile.Open(file));
            }

            return new ModelFolder(path, config, [.. files], Collect(config.Family, files, placement));
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    /// <summary>Whether the folder has a tensor of this canonical name.</summary>
    public bool Contains(string name) => _tensors.ContainsKey(name);

    /// <summary>Extents of a tensor.</summary>
    /// <exception cref="ModelFormatException">The tensor is missing.</exception>
    public long[] Shape(string name) => [.. Find(name).Entry.Shape];

    /// <summary>Element type of a tensor as it is stored.</summary>
    /// <exception cref="ModelFormatException">The tensor is missing.</exception>
    public ElementType StoredType(string name) => Find(name).Entry.Type;

    /// <summary>Reads one tensor (f64, f32, f16 or bf16) and converts it to <paramref name="type"/>. The caller owns it.</summary>
    /// <exception cref="ModelFormatException">The tensor is missing or not of a floating-point type.</exception>
    public Tensor Load(string name, ScalarType type)
    {
        var (file, entry) = Find(name);
        var stored = FloatType(file, entry);
        using var scope = NewDisposeScope();
        var target = empty(entry.Shape, type);
        var flat = target.view(-1);
        var step = ChunkBytes / entry.Type.Bytes();
        for (var begin = 0L; begin < entry.Elements; begin += step)
        {
            var count = Math.Min(step, entry.Elements - begin);
            var bytes = file.Bytes(entry, begin * entry.Type.Bytes(), count * entry.Type.Bytes());
            var part = flat.narrow(0, begin, count);
            if (stored == type)
            {
                bytes.CopyTo(TensorBytes.View(part));
            }
            else
            {
                using var raw = TensorBytes.FromBytes(bytes, [count], stored);
                part.copy_(raw);
            }
        }

        return target.MoveToOuterDisposeScope();
    }

    /// <summary>Reads one tensor as <see cref="Load(string, ScalarType)"/> does, and insists on its shape.</summary>
    /// <exception cref="ModelFormatException">The tensor is missing, of another shape, or not of a floating-point type.</exception>
    public Tensor Load(string name, ScalarType type, params long[] shape)
    {
        CheckShape(name, shape);
        return Load(name, type);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in _files)
        {
            file.Dispose();
        }
    }

    /// <summary>Checks that a tensor is there with the given shape, without reading it.</summary>
    internal void CheckShape(string name, params ReadOnlySpan<long> shape)
    {
        var (file, entry) = Find(name);
        if (!shape.SequenceEqual(entry.Shape))
        {
            throw new ModelFormatException(
                file.Path, name, $"has shape [{string.Join(", ", entry.Shape)}], but config.json implies [{string.Join(", ", shape.ToArray())}]. "
                + "The weights and the configuration belong to different models.");
        }
    }

    /// <summary>Reads some rows of a matrix: <c>[rows, columns]</c> of <paramref name="type"/>. The caller owns the tensor.</summary>
    internal Tensor LoadRows(string name, ReadOnlySpan<int> rows, ScalarType type)
    {
        var (file, entry) = Find(name);
        var stored = FloatType(file, entry);
        var rowBytes = entry.Shape[1] * entry.Type.Bytes();
        using var scope = NewDisposeScope();
        var raw = empty([rows.Length, entry.Shape[1]], stored);
        var target = TensorBytes.View(raw);
        for (var i = 0; i < rows.Length; i++)
        {
            file.Bytes(entry, rows[i] * rowBytes, rowBytes).CopyTo(target[(int)(i * rowBytes)..]);
        }

        return (stored == type ? raw : raw.to(type)).MoveToOuterDisposeScope();
    }

    private static SortedDictionary<string, (MappedTensorFile, TensorEntry)> Collect(
        ModelFamily family, List<MappedTensorFile> files, IReadOnlyDictionary<string, string>? placement)
    {
        var tensors = new SortedDictionary<string, (MappedTensorFile, TensorEntry)>(StringComparer.Ordinal);
        foreach (var file in files)
        {
            foreach (var entry in file.Header.Entries.Values)
            {
                if (TensorNaming.Canonical(family, entry.Name) is { } name && !tensors.TryAdd(name, (file, entry)))
                {
                    throw new ModelFormatException(file.Path, entry.Name, "is there twice, with and without the prefix or in two files.");
                }
            }
        }

        foreach (var (name, fileName) in placement ?? new Dictionary<string, string>())
        {
            var file = files.Find(file => System.IO.Path.GetFileName(file.Path) == fileName)!;
            if (!file.Header.Entries.ContainsKey(name))
            {
                throw new ModelFormatException(file.Path, name, "is missing, although model.safetensors.index.json places it here.");
            }
        }

        return tensors;
    }

    private static ScalarType FloatType(MappedTensorFile file, TensorEntry entry) => entry.Type switch
    {
        ElementType.Float64 => ScalarType.Float64,
        ElementType.Float32 => ScalarType.Float32,
        ElementType.Float16 => ScalarType.Float16,
        ElementType.BFloat16 => ScalarType.BFloat16,
        _ => throw new ModelFormatException(file.Path, entry.Name, $"is of type {entry.Type.Name()}; weights must be F32, F16, BF16 or F64. Quantised models are not supported."),
    };

    private (MappedTensorFile File, TensorEntry Entry) Find(string name) => _tensors.TryGetValue(name, out var found)
        ? found
        : throw new ModelFormatException(_files[0].Path, name, "is missing. The file is incomplete or belongs to another kind of model than config.json says.");

    private string ComputeFingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(TensorNaming.Essentials(Config)));
        Span<byte> extent = stackalloc byte[sizeof(long)];
        foreach (var (name, (file, entry)) in _tensors)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"\n{name} {entry.Type.Name()} "));
            foreach (var size in entry.Shape)
            {
                BinaryPrimitives.WriteInt64LittleEndian(extent, size);
                hash.AppendData(extent);
            }

            for (var begin = 0L; begin < entry.ByteLength; begin += ChunkBytes)
            {
                hash.AppendData(file.Bytes(entry, begin, Math.Min(ChunkBytes, entry.ByteLength - begin)));
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
