using System.Buffers.Binary;
using System.Text;

namespace SplitFrozen.Tests.Engine.Models.Llama2c;

/// <summary>Makes small files in llama2.c's legacy form; weight number n is n / 1024.</summary>
internal static class Llama2cFiles
{
    public const int Width = 8, Inner = 12, Blocks = 2, Heads = 2, KeyValueHeads = 1, Vocabulary = 262, Positions = 16;

    private static readonly string[] Words = ["\u2581", " a", "b"];

    public static byte[] Model(bool untied = false)
    {
        const int headWidth = Width / Heads;
        var perBlock = (2 * Width) + (2 * Width * Width) + (2 * Width * KeyValueHeads * headWidth) + (3 * Width * Inner);
        var count = (Vocabulary * Width) + (Blocks * perBlock) + Width + (Positions * headWidth) + (untied ? Vocabulary * Width : 0);
        var bytes = new byte[28 + (count * 4)];
        int[] header = [Width, Inner, Blocks, Heads, KeyValueHeads, untied ? -Vocabulary : Vocabulary, Positions];
        for (var i = 0; i < header.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * 4), header[i]);
        }

        for (var i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(28 + (i * 4)), i / 1024f);
        }

        return bytes;
    }

    public static byte[] Tokenizer()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(7);
        var pieces = new[] { "<unk>", "\n<s>\n", "\n</s>\n" }
            .Concat(Enumerable.Range(0, 256).Select(i => $"<0x{i:X2}>")).Concat(Words);
        foreach (var (id, piece) in pieces.Index())
        {
            writer.Write((float)-id);
            writer.Write(Encoding.UTF8.GetByteCount(piece));
            writer.Write(Encoding.UTF8.GetBytes(piece));
        }

        return stream.ToArray();
    }
}
