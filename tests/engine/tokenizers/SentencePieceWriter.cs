using Google.Protobuf;

namespace SplitFrozen.Tokenizers.Tests;

/// <summary>Writes models as sentencepiece_model.proto numbers their fields; shares nothing with the reader.</summary>
internal static class SentencePieceWriter
{
    public static byte[] ToBytes(this SentencePieceModel model, int modelType = 2, string? characterMap = null, bool removeExtraSpaces = false) =>
        Message(output =>
        {
            foreach (var piece in model.Pieces)
            {
                Nested(output, 1, body =>
                {
                    Text(body, 1, piece.Text);
                    body.WriteTag(2, WireFormat.WireType.Fixed32);
                    body.WriteFloat(piece.Score);
                    Number(body, 3, (int)piece.Kind);
                });
            }

            Nested(output, 2, body =>
            {
                Number(body, 3, modelType);
                Number(body, 4, model.Pieces.Count);
                Number(body, 35, 1);
                Number(body, 40, model.UnknownId);
                Number(body, 41, model.BeginOfTextId);
                Number(body, 42, model.EndOfTextId);
                Number(body, 43, -1);
            });
            Nested(output, 3, body =>
            {
                Text(body, 1, "identity");
                if (characterMap is not null)
                {
                    Text(body, 2, characterMap);
                }

                Number(body, 3, model.AddDummyPrefix ? 1 : 0);
                Number(body, 4, removeExtraSpaces ? 1 : 0);
                Number(body, 5, 1);
            });
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

    private static void Nested(CodedOutputStream output, int field, Action<CodedOutputStream> write)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(Message(write)));
    }

    private static void Text(CodedOutputStream output, int field, string text)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteString(text);
    }

    private static void Number(CodedOutputStream output, int field, int value)
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteInt32(value);
    }
}
