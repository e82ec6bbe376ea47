using System.Text;

namespace SplitFrozen.Tokenizers.Tests;

/// <summary>The 512-token SentencePiece vocabulary of llama2.c's stories, from its legacy file.</summary>
internal static class StoriesModel
{
    public static SentencePieceModel Read()
    {
        using var reader = new BinaryReader(File.OpenRead(SharedFiles.Require("weights/tok512.bin")));
        reader.ReadInt32();
        var pieces = new List<SentencePiece>();
        while (pieces.Count < 512)
        {
            var score = reader.ReadSingle();
            var text = Encoding.UTF8.GetString(reader.ReadBytes(reader.ReadInt32()));
            pieces.Add(pieces.Count switch
            {
                0 => new SentencePiece("<unk>", score, SentencePieceKind.Unknown),
                1 => new SentencePiece("<s>", score, SentencePieceKind.Control),
                2 => new SentencePiece("</s>", score, SentencePieceKind.Control),
                < 259 => new SentencePiece(text, score, SentencePieceKind.Byte),
                _ => new SentencePiece(text.Replace(' ', '\u2581'), score, SentencePieceKind.Normal),
            });
        }

        return new SentencePieceModel(pieces);
    }

    /// <summary>A vocabulary in which the letters of <c>&lt;s&gt;</c> and <c>&lt;0x41&gt;</c> merge step by step.</summary>
    public static List<SentencePiece> HostilePieces()
    {
        var pieces = new List<SentencePiece>
        {
            new("<unk>", 0, SentencePieceKind.Unknown),
            new("<s>", 0, SentencePieceKind.Control),
            new("</s>", 0, SentencePieceKind.Control),
        };
        pieces.AddRange(Enumerable.Range(0, 256).Select(value => new SentencePiece($"<0x{value:X2}>", 0, SentencePieceKind.Byte)));
        pieces.AddRange("▁ < s > 0 x 4 1 <s <0 <0x <0x4 1>".Split(' ').Select(text => new SentencePiece(text, -1, SentencePieceKind.Normal)));
        return pieces;
    }
}
