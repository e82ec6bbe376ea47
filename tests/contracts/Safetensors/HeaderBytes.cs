using System.Buffers.Binary;
using System.Text;

namespace SplitFrozen.Contracts.Tests.Safetensors;

/// <summary>Builds files byte by byte, independently of the writer under test.</summary>
internal static class HeaderBytes
{
    public static byte[] File(string json, int dataBytes) => File(Encoding.UTF8.GetBytes(json), dataBytes);

    public static byte[] File(byte[] json, int dataBytes)
    {
        var file = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)json.Length);
        json.CopyTo(file, 8);
        return file;
    }

    public static string Tensor(string name, string type, string shape, long begin, long end) =>
        $$$"""{"{{{name}}}":{"dtype":"{{{type}}}","shape":{{{shape}}},"data_offsets":[{{{begin}}},{{{end}}}]}}""";

    public static string Join(params string[] objects) =>
        "{" + string.Join(",", objects.Select(text => text[1..^1])) + "}";
}
