using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models.Weights;
using SplitFrozen.Torch;
using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// A Hugging Face model folder: <c>config.json</c> and <c>model.safetensors</c> (or its shards). Only what is loaded is read.
/// Tensor names are canonical: without the prefix <c>transformer.</c> (GPT-2) or <c>model.</c>
/// (Llama) that some files have, and without buffers that are no weights. Loading is safe from several threads.
/// </summary>
public sealed class ModelFolder : IDisposable
{
    /// <summary>Memory that a conversion or the fingerprint takes beside its result.</summary>
    private const int ChunkBytes = 1 << 20;

    /// <summary>How weights and rows become int8. Another way computes other hidden states, and so needs another name.</summary>
    private const string Int8Form = "int8 weights by output, rows of 15 bits";

    private readonly TensorFile[] _files;
    private readonly SortedDictionary<string, (TensorFile File, TensorEntry Entry)> _tensors;
    private readonly Lazy<string> _fingerprint;

    private ModelFolder(
        string path, TransformerConfig config, FrozenWeights frozenWeights, TensorFile[] files, SortedDictionary<string, (TensorFile, TensorEntry)> tensors)
    {
        Path = path;
        Config = config;
        FrozenWeights = frozenWeights;
        _files = files;
        _tensors = tensors;
        _fingerprint = new(ComputeFingerprint, LazyThreadSafetyMode.ExecutionAndPublication);
    }

    /// <summary>Path of the folder.</summary>
    public string Path { get; }

    /// <summary>The model's sizes and constants.</summary>
    public TransformerConfig Config { get; }

    /// <summary>How frozen blocks hold the weights of their linear layers. Embeddings, norms, biases and whatever trains stay as they are.</summary>
    public FrozenWeights FrozenWeights { get; }

    /// <summary>
    /// SHA-256, as 64 hexadecimal digits, over the sizes and constants that change results and over every weight, and for int8 over that and
    /// how they are made int8. Computed once, on first use, by reading all weights.
    /// </summary>
    public string Fingerprint => _fingerprint.Value;

    /// <summary>Canonical names of the weights, in ordinal order.</summary>
    public IEnumerable<string> TensorNames => _tensors.Keys;

    /// <summary>Opens a folder and checks its configuration and the headers of its weight files.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="frozenWeights">How frozen blocks hold their weights: another kind is another model, with a fingerprint of its own.</param>
    /// <exception cref="ModelFormatException">The folder, a file or a field is missing or wrong.</exception>
    public static ModelFolder Open(string path, FrozenWeights frozenWeights = FrozenWeights.Float32)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!Directory.Exists(path))
        {
            throw new ModelFormatException(path, "folder", "does not exist. Name a folder with config.json and model.safetensors.");
        }

        var config = TransformerConfig.Read(path);
        var (paths, placement) = ShardIndex.Find(path);
        var files = new List<TensorFile>();
        try
        {
            foreach (var file in paths)
            {
                files.Add(TensorFile.Open(file));
            }

            return new ModelFolder(path, config, frozenWeights, [.. files], Collect(config.Family, files, placement));
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
        Fill(file, entry, 0, stored, target.view(-1));
        return target.MoveToOuterDisposeScope();
    }

    /// <summary>Reads one tensor as <see cref="Load(string, ScalarType)"/> does, and insists on its shape.</summary>
    /// <exception cref="ModelFormatException">The tensor is missing, of another shape, or not of a floating-point type.</exception>
    public Tensor Load(string name, ScalarType type, params long[] shape)
    {
        CheckShape(name, shape);
        return Load(name, type);
    }

    /// <summary>Reads the matrix of a linear layer as the numbers that a frozen block computes with. The caller owns it.</summary>
    /// <exception cref="ModelFormatException">The tensor is missing, of another shape, or not of a floating-point type.</exception>
    public Tensor LoadAsFrozen(string name, ScalarType type, params long[] shape)
    {
        if (FrozenWeights == FrozenWeights.Float32)
        {
            return Load(name, type, shape);
        }

        using var int8 = LoadInt8(name, shape);
        return int8.ToMatrix(type);
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
            file.Read(entry, rows[i] * rowBytes, target.Slice((int)(i * rowBytes), (int)rowBytes));
        }

        return (stored == type ? raw : raw.to(type)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// A frozen layer's matrix, <c>[in, out]</c> or <c>[out, in]</c>, as int8; it is read twice, in slices, and never held whole.
    /// </summary>
    /// <exception cref="ModelFormatException">The tensor is missing, of another shape, or not of a floating-point type.</exception>
    internal Int8Weights LoadInt8(string name, params ReadOnlySpan<long> shape)
    {
        CheckShape(name, shape);
        var rowsAreOutputs = Config.Family != ModelFamily.Gpt2;
        var (file, entry) = Find(name);
        var stored = FloatType(file, entry);
        var (rows, columns) = (entry.Shape[0], entry.Shape[1]);
        var made = rowsAreOutputs ? new Int8Weights(columns, rows, rowsAreOutputs) : new Int8Weights(rows, columns, rowsAreOutputs);
        try
        {
            using var scope = NewDisposeScope();
            var slice = empty([Math.Min(rows, Math.Max(1, ChunkBytes / sizeof(float) / columns)), columns]);
            foreach (var take in new Action<Tensor, long>[] { made.Measure, made.Write })
            {
                for (var first = 0L; first < rows; first += slice.shape[0])
                {
                    using var part = slice.narrow(0, 0, Math.Min(slice.shape[0], rows - first));
                    Fill(file, entry, first * columns, stored, part.view(-1));
                    take(part, first);
                }
            }

            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>Reads elements from <paramref name="first"/> on into a flat tensor, and converts them to its type.</summary>
    private static void Fill(TensorFile file, TensorEntry entry, long first, ScalarType stored, Tensor target)
    {
        var width = entry.Type.Bytes();
        var step = stored == target.dtype ? (long)(1 << 30) / width : ChunkBytes / width;
        using var scope = NewDisposeScope();
        using var raw = stored == target.dtype ? null : empty([Math.Min(step, target.shape[0])], stored);
        for (var begin = 0L; begin < target.shape[0]; begin += step)
        {
            using var part = target.narrow(0, begin, Math.Min(step, target.shape[0] - begin));
            using var into = raw is null ? part.alias() : raw.narrow(0, 0, part.shape[0]);
            file.Read(entry, (first + begin) * width, TensorBytes.View(into));
            if (raw is not null)
            {
                _ = part.copy_(into);
            }
        }
    }

    private static SortedDictionary<string, (TensorFile, TensorEntry)> Collect(
        ModelFamily family, List<TensorFile> files, IReadOnlyDictionary<string, string>? placement)
    {
        var tensors = new SortedDictionary<string, (TensorFile, TensorEntry)>(StringComparer.Ordinal);
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

    private static ScalarType FloatType(TensorFile file, TensorEntry entry) => entry.Type switch
    {
        ElementType.Float64 => ScalarType.Float64,
        ElementType.Float32 => ScalarType.Float32,
        ElementType.Float16 => ScalarType.Float16,
        ElementType.BFloat16 => ScalarType.BFloat16,
        _ => throw new ModelFormatException(file.Path, entry.Name, $"is of type {entry.Type.Name()}; weights must be F32, F16, BF16 or F64. Quantised models are not supported."),
    };

    private (TensorFile File, TensorEntry Entry) Find(string name) => _tensors.TryGetValue(name, out var found)
        ? found
        : throw new ModelFormatException(_files[0].Path, name, "is missing. The file is incomplete or belongs to another kind of model than config.json says.");

    private string ComputeFingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(TensorNaming.Essentials(Config)));
        Span<byte> extent = stackalloc byte[sizeof(long)];
        var chunk = new byte[ChunkBytes];
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
                var part = chunk.AsSpan(0, (int)Math.Min(ChunkBytes, entry.ByteLength - begin));
                file.Read(entry, begin, part);
                hash.AppendData(part);
            }
        }

        var digest = Convert.ToHexStringLower(hash.GetHashAndReset());
        return FrozenWeights == FrozenWeights.Float32 ? digest : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{digest} {Int8Form}")));
    }
}
