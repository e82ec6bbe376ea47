using System.Text.Json;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.Files;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Export;

/// <summary>
/// An adapter in PEFT's form, read from its folder: this system's own, or another's as long as it covers the blocks from some
/// boundary to the last. <see cref="Open"/> puts it onto its base model.
/// </summary>
public sealed class PeftAdapter
{
    private const int MaximumHeaderBytes = 16 << 20;
    private readonly string _file;
    private readonly PeftConfig _config;
    private readonly SafetensorsHeader _header;

    private PeftAdapter(string folder, PeftConfig config)
    {
        _file = Path.Combine(folder, PeftNames.WeightsFile);
        _config = config;
        try
        {
            _header = SafetensorsHeader.ReadFile(_file, MaximumHeaderBytes);
        }
        catch (Exception exception) when (exception is SafetensorsException or IOException or UnauthorizedAccessException)
        {
            throw new AdapterException(_file, $"cannot be read: {exception.Message}", exception);
        }

        Classes = Head == HeadKind.Classification ? CountClasses() : 0;
        ClassNames = ReadClassNames();
        var weights = _header.Metadata.GetValueOrDefault(PeftNames.FrozenWeights, FrozenWeights.Float32.Name());
        FrozenWeights = FrozenWeightNames.Find(weights)
            ?? throw new AdapterException(_file, $"metadata {PeftNames.FrozenWeights}: is \"{weights}\"; {string.Join(" or ", FrozenWeightNames.All)} is expected.");
    }

    /// <summary>Rank, alpha, dropout and targets.</summary>
    public LoraConfig Lora => _config.Lora;

    /// <summary>The head it was trained with.</summary>
    public HeadKind Head => _config.Head;

    /// <summary>Number of classes; 0 for language modelling.</summary>
    public int Classes { get; }

    /// <summary>Names of the classes by index; empty where the file names none.</summary>
    public IReadOnlyList<string> ClassNames { get; }

    /// <summary>Adapted blocks in ascending order; empty for all.</summary>
    public IReadOnlyList<int> Layers => _config.Layers;

    /// <summary>Name or path of the base model; empty where the file names none.</summary>
    public string BaseModel => _config.BaseModel;

    /// <summary>Fingerprint of the base model; empty where the file has none.</summary>
    public string BaseFingerprint => _header.Metadata.GetValueOrDefault(PeftNames.BaseFingerprint, "");

    /// <summary>How the frozen blocks under it held their weights when it was trained: the base model is to be opened so.</summary>
    public FrozenWeights FrozenWeights { get; }

    /// <summary>The tensors by their keys, with shapes.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Tensors => _header.Entries;

    /// <summary>Number of weights in the file.</summary>
    public long Parameters => _header.Entries.Values.Sum(entry => entry.Elements);

    /// <summary>Reads configuration and header; the weights are read by <see cref="Open"/>.</summary>
    /// <exception cref="AdapterException">A file is missing, damaged, or asks for what is not supported.</exception>
    public static PeftAdapter Read(string folder) => new(folder, PeftConfigReader.Read(folder));

    /// <summary>The first adapted block F on this base model, with every later block adapted too.</summary>
    /// <exception cref="AdapterException">The adapted blocks are not those from some boundary to the last.</exception>
    public int Boundary(TransformerConfig baseModel)
    {
        var boundary = Layers.Count == 0 ? 0 : Layers[0];
        return Layers.Count == 0 || Layers.SequenceEqual(Enumerable.Range(boundary, Math.Max(0, baseModel.Layers - boundary)))
            ? boundary
            : throw new AdapterException(
                _file, $"adapts the blocks {string.Join(", ", Layers)}; the base model has {baseModel.Layers}, and all from some boundary to the last must be adapted. It belongs to another base model.");
    }

    /// <summary>Opens the upper part of the base model with this adapter's weights.</summary>
    /// <param name="baseModel">The base model; must stay open while the result lives.</param>
    /// <param name="lowestCut">First block to hold; null for the boundary.</param>
    /// <param name="compute">Type of weights and results.</param>
    /// <exception cref="AdapterException">The adapter does not fit the base model.</exception>
    /// <exception cref="ModelFormatException">The base model cannot be used.</exception>
    public UpperModel Open(ModelFolder baseModel, int? lowestCut = null, ScalarType compute = ScalarType.Float32)
    {
        ArgumentNullException.ThrowIfNull(baseModel);
        if (BaseFingerprint.Length > 0 && FrozenWeights != baseModel.FrozenWeights)
        {
            throw new AdapterException(
                _file, $"was trained above frozen blocks of {FrozenWeights.Name()} weights, and the base model's are to be {baseModel.FrozenWeights.Name()}: set device.weights to {FrozenWeights.Name()}, for example with --set device.weights={FrozenWeights.Name()}.");
        }

        if (BaseFingerprint.Length > 0 && BaseFingerprint != baseModel.Fingerprint)
        {
            throw new AdapterException(_file, $"was trained on another base model than {baseModel.Path}: its fingerprint begins {BaseFingerprint[..Math.Min(12, BaseFingerprint.Length)]}, the folder's {baseModel.Fingerprint[..12]}. Name the base model it was trained on.");
        }

        var boundary = Boundary(baseModel.Config);
        var options = new UpperModelOptions
        {
            LowestCut = lowestCut ?? boundary,
            Boundary = boundary,
            Head = Head,
            Classes = Classes,
            Lora = Lora,
            Compute = compute,
        };
        var model = OpenBase(baseModel, options);
        try
        {
            Load(model);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private UpperModel OpenBase(ModelFolder baseModel, UpperModelOptions options)
    {
        try
        {
            return UpperModel.Open(baseModel, options);
        }
        catch (ArgumentException exception) when (exception.ParamName != nameof(options.LowestCut))
        {
            throw new AdapterException(_file, $"does not fit the base model {baseModel.Path}: {exception.Message}", exception);
        }
    }

    private void Load(UpperModel model)
    {
        var expected = model.Parameters.ToDictionary(parameter => PeftNames.Key(model.Config.Family, parameter.Name));
        foreach (var (key, parameter) in expected)
        {
            if (!_header.Entries.TryGetValue(key, out var entry) || !entry.Shape.SequenceEqual(parameter.Value.shape))
            {
                throw new AdapterException(
                    _file, $"{key}: must be there with shape [{string.Join(", ", parameter.Value.shape)}]{(entry is null ? "" : $", has [{string.Join(", ", entry.Shape)}]")}; {PeftNames.ConfigFile}, weights and base model do not belong together.");
            }
        }

        if (_header.Entries.Keys.FirstOrDefault(key => !expected.ContainsKey(key)) is { } extra)
        {
            throw new AdapterException(_file, $"{extra}: has no place in the base model with the targets {string.Join(", ", Lora.Targets)}; {PeftNames.ConfigFile} and weights do not belong together.");
        }

        using var frozen = no_grad();
        using var stream = new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.Read);
        foreach (var (key, parameter) in expected)
        {
            using var value = ReadTensor(stream, _header.Entries[key]);
            parameter.Value.copy_(value);
        }
    }

    private Tensor ReadTensor(FileStream stream, TensorEntry entry)
    {
        if (entry.Type is not (ElementType.Float64 or ElementType.Float32 or ElementType.Float16 or ElementType.BFloat16))
        {
            throw new AdapterException(_file, $"{entry.Name}: is of type {entry.Type.Name()}; adapters must be F32, F16, BF16 or F64.");
        }

        var bytes = new byte[entry.ByteLength];
        stream.Position = _header.DataStart + entry.Begin;
        stream.ReadExactly(bytes);
        return TensorBytes.FromBytes(bytes, entry.Shape, entry.Type.ToScalarType());
    }

    private int CountClasses()
    {
        const string Score = "score.weight";
        var entry = _header.Entries.Values.FirstOrDefault(entry => entry.Name.EndsWith("." + Score, StringComparison.Ordinal));
        return entry is { Shape: [>= 2 and <= int.MaxValue, _] }
            ? (int)entry.Shape[0]
            : throw new AdapterException(_file, $"holds no {Score} of at least 2 classes, which an adapter for classification needs in modules_to_save.");
    }

    private string[] ReadClassNames()
    {
        if (!_header.Metadata.TryGetValue(PeftNames.ClassNames, out var json))
        {
            return [];
        }

        try
        {
            var names = JsonSerializer.Deserialize<string[]>(json) ?? [];
            return names.Length == Classes && Array.TrueForAll(names, name => name is not null)
                ? names
                : throw new AdapterException(_file, $"metadata {PeftNames.ClassNames}: must name {Classes} classes.");
        }
        catch (JsonException exception)
        {
            throw new AdapterException(_file, $"metadata {PeftNames.ClassNames}: is no JSON list of names.", exception);
        }
    }
}
