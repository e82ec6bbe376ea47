using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace SplitFrozen.Processes.Tests;

/// <summary>An honest device's body, taken apart with nothing of the product, so that a hostile one can be made of it.</summary>
internal sealed class HostileBody
{
    private static readonly JsonSerializerOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly JsonObject _header;
    private readonly byte[] _data;

    public HostileBody(ReadOnlySpan<byte> honest)
    {
        var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(honest);
        _header = JsonNode.Parse(honest.Slice(8, length))!.AsObject();
        _data = honest[(8 + length)..].ToArray();
    }

    public JsonObject Metadata => _header["__metadata__"]!.AsObject();

    public JsonObject Tensor(string name) => _header[name]!.AsObject();

    /// <summary>A tensor's bytes, to be written on.</summary>
    public Span<T> Values<T>(string name)
        where T : unmanaged
    {
        var offsets = Tensor(name)["data_offsets"]!.AsArray();
        return MemoryMarshal.Cast<byte, T>(_data.AsSpan()[(int)offsets[0]!..(int)offsets[1]!]);
    }

    /// <summary>The body, with the checksum of what it holds now.</summary>
    public byte[] ToBytes(int padding = 0)
    {
        Metadata["checksum"] = Convert.ToHexStringLower(XxHash128.Hash(_data));
        var json = Encoding.UTF8.GetBytes(_header.ToJsonString(Compact));
        var header = new byte[json.Length + (-json.Length & 7) + padding];
        header.AsSpan().Fill((byte)' ');
        json.CopyTo(header, 0);
        var body = new byte[8 + header.Length + _data.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(body, (ulong)header.Length);
        header.CopyTo(body, 8);
        _data.CopyTo(body, 8 + header.Length);
        return body;
    }
}
