using Google.Protobuf;

namespace SplitFrozen.Tokenizers;

/// <summary>What a SentencePiece entry is; the numbers are those of <c>sentencepiece_model.proto</c>.</summary>
public enum SentencePieceKind
{
    /// <summary>A piece of text.</summary>
    Normal = 1,

    /// <summary>The entry for what has no piece.</summary>
    Unknown = 2,

    /// <summary>A special token, never found in text.</summary>
    Control = 3,

    /// <summary>A token that is always cut out of text whole.</summary>
    UserDefined = 4,

    /// <summary>A piece that is not used.</summary>
    Unused = 5,

    /// <summary>One byte, written <c>&lt;0x0A&gt;</c>, for characters without a piece.</summary>
    Byte = 6,
}

/// <summary>One vocabulary entry: its text (a space is U+2581), its score (merges of higher score come first), and its kind.</summary>
public readonly record struct SentencePiece(string Text, float Score, SentencePieceKind Kind);

/// <summary>
/// A SentencePiece BPE model with byte fallback, as Llama 1 and 2 and llama2.c use it: no text normalisation, a space put
/// before the text. Reads and writes the protocol-buffer form (<c>tokenizer.model</c>).
/// </summary>
public sealed class SentencePieceModel
{
    private const int BytePairModel = 2;

    /// <summary>Creates a model of <paramref name="pieces"/>; a piece's id is its place.</summary>
    public SentencePieceModel(IReadOnlyList<SentencePiece> pieces) => Pieces = pieces;

    /// <summary>The vocabulary by id.</summary>
    public IReadOnlyList<SentencePiece> Pieces { get; }

    /// <summary>The id that starts a text, or -1 for none.</summary>
    public int BeginOfTextId { get; init; } = 1;

    /// <summary>The id that ends a text, or -1 for none.</summary>
    public int EndOfTextId { get; init; } = 2;

    /// <summary>The id of the entry for what has no piece.</summary>
    public int UnknownId { get; init; }

    /// <summary>Whether a space is put before every text.</summary>
    public bool AddDummyPrefix { get; init; } = true;

    /// <summary>Writes the model to <paramref name="path"/>; the file appears whole or not at all.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var temporary = path + ".tmp";
        File.WriteAllBytes(temporary, ToBytes());
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>The model in its protocol-buffer form.</summary>
    public byte[] ToBytes() => Message(output =>
    {
        foreach (var piece in Pieces)
        {
            WriteMessage(output, ModelField.Pieces, Message(body =>
            {
                body.WriteTag(PieceField.Text, WireFormat.WireType.LengthDelimited);
                body.WriteString(piece.Text);
                body.WriteTag(PieceField.Score, WireFormat.WireType.Fixed32);
                body.WriteFloat(piece.Score);
                WriteNumber(body, PieceField.Kind, (int)piece.Kind);
            }));
        }

        WriteMessage(output, ModelField.Trainer, Message(body =>
        {
            WriteNumber(body, TrainerField.ModelType, BytePairModel);
            WriteNumber(body, TrainerField.VocabularySize, Pieces.Count);
            WriteNumber(body, TrainerField.ByteFallback, 1);
            WriteNumber(body, TrainerField.UnknownId, UnknownId);
            WriteNumber(body, TrainerField.BeginOfTextId, BeginOfTextId);
            WriteNumber(body, TrainerField.EndOfTextId, EndOfTextId);
            WriteNumber(body, TrainerField.PadId, -1);
        }));
        WriteMessage(output, ModelField.Normalizer, Message(body =>
        {
            body.WriteTag(NormalizerField.Name, WireFormat.WireType.LengthDelimited);
            body.WriteString("identity");
            WriteNumber(body, NormalizerField.AddDummyPrefix, AddDummyPrefix ? 1 : 0);
            WriteNumber(body, NormalizerField.RemoveExtraWhitespaces, 0);
            WriteNumber(body, NormalizerField.EscapeWhitespaces, 1);
        }));
    });

    private static byte[] Message(Action<CodedOutputStream> write)
    {
        using var stream = new MemoryStream();
        using (var output = new CodedOutputStream(stream, leaveOpen: true))
        {
            write(output);
        }

        return stream.ToArray();
    }

    private static void WriteMessage(CodedOutputStream output, int field, byte[] body)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(body));
    }

    private static void WriteNumber(CodedOutputStream output, int field, int value)
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteInt32(value);
    }

    internal static class ModelField
    {
        public const int Pieces = 1;
        public const int Trainer = 2;
        public const int Normalizer = 3;
    }

    internal static class PieceField
    {
        public const int Text = 1;
        public const int Score = 2;
        public const int Kind = 3;
    }

    internal static class TrainerField
    {
        public const int ModelType = 3;
        public const int VocabularySize = 4;
        public const int WhitespaceAsSuffix = 24;
        public const int ByteFallback = 35;
        public const int UnknownId = 40;
        public const int BeginOfTextId = 41;
        public const int EndOfTextId = 42;
        public const int PadId = 43;
    }

    internal static class NormalizerField
    {
        public const int Name = 1;
        public const int CharacterMap = 2;
        public const int AddDummyPrefix = 3;
        public const int RemoveExtraWhitespaces = 4;
        public const int EscapeWhitespaces = 5;
    }
}
