using System.Buffers.Binary;
using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Torch;
using SplitFrozen.Training.Files;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Checkpoints;

/// <summary>
/// One checkpoint as a safetensors file: <c>value.*</c>, <c>first_moment.*</c> and <c>second_moment.*</c> for every parameter,
/// <c>applied_samples</c> i64, and the position as metadata with a checksum over both.
/// </summary>
internal sealed class CheckpointFile
{
    private const string Format = "splitfrozen-checkpoint-1";
    private const string Samples = "applied_samples";
    private const int MaximumHeaderBytes = 16 << 20;
    private readonly string _path;
    private readonly SafetensorsHeader _header;
    private readonly byte[] _data;
    private readonly int _optimizerSteps;

    private CheckpointFile(string path, SafetensorsHeader header, byte[] data)
    {
        _path = path;
        _header = header;
        _data = data;
        if (Metadata("format") != Format)
        {
            throw Damaged("is no checkpoint of this version; start the run anew in another folder.");
        }

        if (Metadata("checksum") != Checksum(header.Metadata, header.Entries.Values.Select(entry => (entry.Name, Bytes(entry)))))
        {
            throw Damaged("its content does not have its checksum; it is damaged.");
        }

        _optimizerSteps = (int)Number("optimizer_steps", int.MaxValue);
        Position = new TrainingPosition
        {
            Step = Number("step", long.MaxValue),
            NextSequence = Number("next_sequence", long.MaxValue),
            Epoch = (int)Number("epoch", int.MaxValue),
            Fence = Number("fence", long.MaxValue),
            SpecificationHash = Metadata("specification_hash"),
            Notes = Metadata("notes"),
            AppliedSamples = ReadSamples(),
        };
    }

    public TrainingPosition Position { get; }

    public static void Write(Stream stream, TrainingPosition position, TrainingState state)
    {
        var writer = new SafetensorsWriter();
        var tensors = new List<(string Name, ReadOnlyMemory<byte> Bytes)>();
        foreach (var (name, tensor) in state.Parameters.SelectMany(parameter => parameter.Tensors()))
        {
            Add(name, tensor);
        }

        var samples = new byte[position.AppliedSamples.Count * sizeof(long)];
        for (var i = 0; i < position.AppliedSamples.Count; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(samples.AsSpan(i * sizeof(long)), position.AppliedSamples[i]);
        }

        writer.Add(Samples, ElementType.Int64, [position.AppliedSamples.Count], samples);
        tensors.Add((Samples, samples));
        var metadata = Describe(position, state.StepsTaken);
        metadata["checksum"] = Checksum(metadata, tensors);
        foreach (var (key, value) in metadata)
        {
            writer.SetMetadata(key, value);
        }

        writer.WriteTo(stream);

        void Add(string name, Tensor tensor)
        {
            var bytes = TensorBytes.ToBytes(tensor);
            writer.Add(name, tensor.dtype.ToElementType(), tensor.shape, bytes);
            tensors.Add((name, bytes));
        }
    }

    public static CheckpointFile Read(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
            var header = SafetensorsHeader.Read(stream, MaximumHeaderBytes);
            if (header.DataLength > Array.MaxLength)
            {
                throw new CheckpointException(path, $"has {header.DataLength} bytes of tensors, more than a checkpoint can have; delete it.");
            }

            var data = new byte[header.DataLength];
            stream.Position = header.DataStart;
            stream.ReadExactly(data);
            return new CheckpointFile(path, header, data);
        }
        catch (Exception exception) when (exception is SafetensorsException or IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>Overwrites a state of the same parameters; checks that every tensor is there, and fits, before the first is copied.</summary>
    public void LoadInto(TrainingState state)
    {
        var copies = state.Parameters.SelectMany(parameter => parameter.Tensors()).Select(named => (Entry: Expect(named.Name, named.Tensor), Target: named.Tensor)).ToList();
        if (copies.Count + 1 != _header.Entries.Count)
        {
            throw Damaged($"has {_header.Entries.Count} tensors, this run needs {copies.Count + 1}; it was made for other parameters.");
        }

        copies.ForEach(copy => Bytes(copy.Entry).Span.CopyTo(TensorBytes.View(copy.Target)));
        state.StepsTaken = _optimizerSteps;
    }

    private static SortedDictionary<string, string> Describe(TrainingPosition position, int optimizerSteps) => new(StringComparer.Ordinal)
    {
        ["format"] = Format,
        ["step"] = position.Step.ToString(CultureInfo.InvariantCulture),
        ["next_sequence"] = position.NextSequence.ToString(CultureInfo.InvariantCulture),
        ["epoch"] = position.Epoch.ToString(CultureInfo.InvariantCulture),
        ["fence"] = position.Fence.ToString(CultureInfo.InvariantCulture),
        ["optimizer_steps"] = optimizerSteps.ToString(CultureInfo.InvariantCulture),
        ["specification_hash"] = position.SpecificationHash,
        ["notes"] = position.Notes,
    };

    private static string Checksum(IEnumerable<KeyValuePair<string, string>> metadata, IEnumerable<(string Name, ReadOnlyMemory<byte> Bytes)> tensors)
    {
        var hash = new XxHash3();
        foreach (var (key, value) in metadata.Where(pair => pair.Key != "checksum").OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            hash.Append(Encoding.UTF8.GetBytes($"{key}\0{value}\0"));
        }

        foreach (var (name, bytes) in tensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal))
        {
            hash.Append(Encoding.UTF8.GetBytes(name));
            hash.Append(bytes.Span);
        }

        return hash.GetCurrentHashAsUInt64().ToString("x16", CultureInfo.InvariantCulture);
    }

    private TensorEntry Expect(string name, Tensor target) =>
        _header.Entries.TryGetValue(name, out var entry) && entry.Shape.SequenceEqual(target.shape) && entry.Type == target.dtype.ToElementType()
            ? entry
            : throw Damaged($"has no tensor '{name}' of shape [{string.Join(", ", target.shape)}]; it was made for other parameters.");

    private ReadOnlyMemory<byte> Bytes(TensorEntry entry) => _data.AsMemory((int)entry.Begin, (int)entry.ByteLength);

    private long[] ReadSamples() =>
        _header.Entries.TryGetValue(Samples, out var entry) && entry.Type == ElementType.Int64
            ? MemoryMarshal.Cast<byte, long>(Bytes(entry).Span).ToArray()
            : throw Damaged($"has no tensor '{Samples}'; it is damaged.");

    private string Metadata(string key) =>
        _header.Metadata.TryGetValue(key, out var value) ? value : throw Damaged($"lacks the metadata '{key}'; it is no checkpoint, or damaged.");

    private long Number(string key, long maximum) =>
        long.TryParse(Metadata(key), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= maximum
            ? number
            : throw Damaged($"its metadata '{key}' is no number in range; it is damaged.");

    private CheckpointException Damaged(string fault) => new(_path, fault);
}
