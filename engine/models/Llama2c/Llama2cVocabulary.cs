using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Google.Protobuf;

namespace SplitFrozen.Models.Llama2c;

/// <summary>
/// llama2.c's tokenizer file: an int32 (longest piece), then for every id a float32 score, an int32 length and the piece in
/// UTF-8. It is what llama2.c keeps of a SentencePiece model, and becomes one again here: spaces are U+2581, id 0 is unknown,
/// 1 and 2 are the control pieces that begin and end a text, and <c>&lt;0x41&gt;</c> stands for one byte.
/// </summary>
internal sealed class Llama2cVocabulary
{
    private const int LongestPiece = 1 << 16;
    private static readonly UTF8Encoding _strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly List<(string Text, float Score)> _pieces = [];

    /// <summary>The numbers of SentencePiece's <c>ModelProto.SentencePiece.Type</c>.</summary>
    private enum PieceKind
    {
        Normal = 1, Unknown = 2, Control = 3, Byte = 6,
    }

    /// <exception cref="ModelFormatException">The file is missing or truncated, or does not hold exactly that many pieces.</exception>
    internal static Llama2cVocabulary Read(string path, int size)
    {
        if (!File.Exists(path))
        {
            throw new ModelFormatException(path, "file", "does not exist. Name llama2.c's tokenizer file, for example tok512.bin.");
        }

        var bytes = File.ReadAllBytes(path).AsSpan();
        var vocabulary = new Llama2cVocabulary();
        var position = sizeof(int);
        while (vocabulary._pieces.Count < size)
        {
            var id = vocabulary._pieces.Count;
            if (position + 8 > bytes.Length)
            {
                throw new ModelFormatException(path, $"piece {id}", $"is missing: the file ends after {id} pieces, but the model has {size}. It is truncated or belongs to another model.");
            }

            var score = BinaryPrimitives.ReadSingleLittleEndian(bytes[position..]);
            var length = BinaryPrimitives.ReadInt32LittleEndian(bytes[(position + 4)..]);
            position += 8;
            if (length < 0 || length > LongestPiece || length > bytes.Length - position || !float.IsFinite(score))
            {
                throw new ModelFormatException(path, $"piece {id}", $"has a length of {length} bytes and a score of {score}, which cannot be. The file is truncated or no llama2.c tokenizer.");
            }

            vocabulary._pieces.Add((PieceText(path, id, bytes.Slice(position, length)), score));
            position += length;
        }

        if (position != bytes.Length)
        {
            throw new ModelFormatException(path, "length", $"is {bytes.Length} bytes, but the model's {size} pieces end after {position}. The file belongs to another model.");
        }

        return vocabulary;
    }

    /// <summary>Writes a SentencePiece <c>ModelProto</c>: pieces (1), trainer (2) and normaliser (3), by the field numbers of sentencepiece_model.proto.</summary>
    internal void WriteSentencePiece(string path)
    {
        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        using var output = new CodedOutputStream(stream);
        for (var id = 0; id < _pieces.Count; id++)
        {
            var (text, score) = _pieces[id];
            WriteMessage(output, 1, piece =>
            {
                WriteText(piece, 1, text);
                piece.WriteTag(2, WireFormat.WireType.Fixed32);
                piece.WriteFloat(score);
                WriteNumber(piece, 3, (int)Kind(id, text));
            });
        }

        WriteMessage(output, 2, trainer =>
        {
            const int bytePairEncoding = 2;
            WriteNumber(trainer, 3, bytePairEncoding);
            WriteNumber(trainer, 4, _pieces.Count);
            WriteNumber(trainer, 35, 1); // byte_fallback
            WriteNumber(trainer, 40, 0); // unk_id
            WriteNumber(trainer, 41, 1); // bos_id
            WriteNumber(trainer, 42, 2); // eos_id
            WriteNumber(trainer, 43, -1); // pad_id: none
        });
        WriteMessage(output, 3, normaliser =>
        {
            WriteText(normaliser, 1, "identity");
            WriteNumber(normaliser, 3, 1); // add_dummy_prefix
            WriteNumber(normaliser, 4, 0); // remove_extra_whitespaces
            WriteNumber(normaliser, 5, 1); // escape_whitespaces
        });
    }

    private static string PieceText(string path, int id, ReadOnlySpan<byte> bytes)
    {
        if (id is 0 or 1 or 2)
        {
            return id switch { 0 => "<unk>", 1 => "<s>", _ => "</s>" };
        }

        try
        {
            return _strict.GetString(bytes).Replace(' ', '\u2581');
        }
        catch (DecoderFallbackException)
        {
            throw new ModelFormatException(path, $"piece {id}", "is not UTF-8. The file is damaged or no llama2.c tokenizer.");
        }
    }

    private static PieceKind Kind(int id, string text) => id switch
    {
        0 => PieceKind.Unknown,
        1 or 2 => PieceKind.Control,
        _ => text.Length == 6 && text.StartsWith("<0x", StringComparison.Ordinal) && text[5] == '>'
            && byte.TryParse(text.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out _) ? PieceKind.Byte : PieceKind.Normal,
    };

    private static void WriteMessage(CodedOutputStream output, int field, Action<CodedOutputStream> write)
    {
        using var buffer = new MemoryStream();
        using (var inner = new CodedOutputStream(buffer, leaveOpen: true))
        {
            write(inner);
        }

        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(buffer.ToArray()));
    }

    private static void WriteText(CodedOutputStream output, int field, string text)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteString(text);
    }

    private static void WriteNumber(CodedOutputStream output, int field, int value)
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteInt32(value);
    }
}
