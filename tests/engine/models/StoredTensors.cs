using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

/// <summary>All tensors of one small safetensors file.</summary>
internal sealed class StoredTensors : IDisposable
{
    private readonly Dictionary<string, Tensor> _tensors = [];

    private StoredTensors(IReadOnlyDictionary<string, string> metadata) => Metadata = metadata;

    public IReadOnlyDictionary<string, string> Metadata { get; }

    public IEnumerable<string> Names => _tensors.Keys;

    public Tensor this[string name] => _tensors[name];

    public static StoredTensors Read(string path)
    {
        LibtorchLoader.Load();
        var bytes = File.ReadAllBytes(path);
        Assert.True(SafetensorsHeader.TryParse(bytes, bytes.Length, out var header, out var error), error);
        var stored = new StoredTensors(header.Metadata);
        foreach (var entry in header.Entries.Values)
        {
            var type = entry.Type switch
            {
                ElementType.Float64 => ScalarType.Float64,
                ElementType.Float32 => ScalarType.Float32,
                ElementType.Int64 => ScalarType.Int64,
                _ => throw new InvalidDataException(entry.Type.Name()),
            };
            stored._tensors[entry.Name] = TensorBytes.FromBytes(
                bytes.AsSpan((int)(header.DataStart + entry.Begin), (int)entry.ByteLength), entry.Shape, type);
        }

        return stored;
    }

    public int[] Integers(string name) => Array.ConvertAll(_tensors[name].data<long>().ToArray(), value => (int)value);

    public void Dispose()
    {
        foreach (var tensor in _tensors.Values)
        {
            tensor.Dispose();
        }
    }
}
