using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace SplitFrozen.Contracts.Tests.Wire;

/// <summary>A body built from strings, independently of the codec: the batch of <see cref="Batches.Small"/> unless changed.</summary>
internal sealed class RawBody
{
    private readonly SortedDictionary<string, string> _metadata = new(StringComparer.Ordinal)
    {
        ["client"] = "client-3",
        ["cut"] = "4",
        ["fingerprint"] = Batches.Fingerprint,
        ["format"] = "splitfrozen-activations/1",
        ["labels"] = "sample",
        ["run"] = "demo",
    };

    private readonly List<(string Name, string Type, string Shape, byte[] Bytes)> _tensors =
    [
        ("sample_ids", "I64", "[2]", [17, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0x40]),
        ("hidden_states", "F32", "[3,2]", [.. new[] { -1f, -0.5f, 0f, 0.5f, 1f, 1.5f }.SelectMany(BitConverter.GetBytes)]),
        ("labels", "I32", "[2]", [1, 0, 0, 0, 0, 0, 0, 0]),
        ("lengths", "I32", "[2]", [2, 0, 0, 0, 1, 0, 0, 0]),
    ];

    public RawBody Meta(string key, string? value)
    {
        _metadata.Remove(key);
        if (value is not null)
        {
            _metadata.Add(key, value);
        }

        return this;
    }

    public RawBody Set(string name, string type, string shape, byte[] bytes)
    {
        var index = _tensors.FindIndex(tensor => tensor.Name == name);
        if (index < 0)
        {
            _tensors.Add((name, type, shape, bytes));
        }
        else
        {
            _tensors[index] = (name, type, shape, bytes);
        }

        return this;
    }

    public RawBody Drop(string name)
    {
        _tensors.RemoveAll(tensor => tensor.Name == name);
        return this;
    }

    public RawBody Reverse()
    {
        _tensors.Reverse();
        return this;
    }

    public byte[] ToBytes(bool writeChecksum = true, string? checksum = null, string space = "")
    {
        var data = _tensors.SelectMany(tensor => tensor.Bytes).ToArray();
        if (writeChecksum)
        {
            Meta("checksum", checksum ?? Convert.ToHexStringLower(XxHash128.Hash(data)));
        }

        var json = new StringBuilder("{\"__metadata__\":{");
        json.AppendJoin(',', _metadata.Select(entry => $"\"{entry.Key}\":{space}\"{entry.Value}\"")).Append('}');
        var position = 0;
        foreach (var (name, type, shape, bytes) in _tensors)
        {
            json.Append($",\"{name}\":{{\"dtype\":\"{type}\",\"shape\":{shape},\"data_offsets\":[{position},{position + bytes.Length}]}}");
            position += bytes.Length;
        }

        json.Append('}').Append(' ', -json.Length & 7);
        var body = new byte[8 + json.Length + data.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(body, (ulong)json.Length);
        Encoding.ASCII.GetBytes(json.ToString(), body.AsSpan(8));
        data.CopyTo(body, 8 + json.Length);
        return body;
    }
}
