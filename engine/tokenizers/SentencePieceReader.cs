using System.Globalization;
using Google.Protobuf;

namespace SplitFrozen.Tokenizers;

/// <summary>Reads a SentencePiece model from protocol-buffer bytes and refuses what the encoder does not do.</summary>
internal static class SentencePieceReader
{
    private const int BytePairModel = 2;

    private const string Remedy = "Use a Llama tokenizer: SentencePiece BPE with byte fallback and no text normalisation.";

    /// <exception cref="TokenizerFormatException">The bytes are no SentencePiece model, or one of another kind.</exception>
    public static SentencePieceModel Read(string file, byte[] content)
    {
        try
        {
            var settings = new Settings();
            var pieces = new List<SentencePiece>();
            var input = new CodedInputStream(content);
            while (input.ReadTag() is var tag and not 0)
            {
                ReadField(input, tag, pieces, settings);
            }

            Check(file, pieces, settings);
            return new SentencePieceModel(pieces)
            {
                UnknownId = settings.UnknownId,
                BeginOfTextId = settings.BeginOfTextId,
                EndOfTextId = settings.EndOfTextId,
                AddDummyPrefix = settings.AddDummyPrefix,
            };
        }
        catch (InvalidProtocolBufferException fault)
        {
            throw new TokenizerFormatException(
                file,
                "is neither a list of tiktoken ranks nor a SentencePiece model, or it is cut short.",
                "Fetch the file again, or use the tokenizer.json of the model.",
                fault);
        }
    }

    private static void ReadField(CodedInputStream input, uint tag, List<SentencePiece> pieces, Settings settings)
    {
        switch (WireFormat.GetTagFieldNumber(tag))
        {
            case ModelField.Pieces:
                pieces.Add(ReadPiece(input.ReadBytes()));
                break;
            case ModelField.Trainer:
                ReadTrainer(input.ReadBytes(), settings);
                break;
            case ModelField.Normalizer:
                ReadNormalizer(input.ReadBytes(), settings);
                break;
            default:
                input.SkipLastField();
                break;
        }
    }

    private static SentencePiece ReadPiece(ByteString body)
    {
        var input = body.CreateCodedInput();
        var piece = new SentencePiece(string.Empty, 0, SentencePieceKind.Normal);
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case PieceField.Text:
                    piece = piece with { Text = input.ReadString() };
                    break;
                case PieceField.Score:
                    piece = piece with { Score = input.ReadFloat() };
                    break;
                case PieceField.Kind:
                    piece = piece with { Kind = (SentencePieceKind)input.ReadEnum() };
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }

        return piece;
    }

    private static void ReadTrainer(ByteString body, Settings settings)
    {
        var input = body.CreateCodedInput();
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case TrainerField.ModelType:
                    settings.ModelType = input.ReadEnum();
                    break;
                case TrainerField.WhitespaceAsSuffix:
                    settings.WhitespaceAsSuffix = input.ReadBool();
                    break;
                case TrainerField.UnknownId:
                    settings.UnknownId = input.ReadInt32();
                    break;
                case TrainerField.BeginOfTextId:
                    settings.BeginOfTextId = input.ReadInt32();
                    break;
                case TrainerField.EndOfTextId:
                    settings.EndOfTextId = input.ReadInt32();
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }
    }

    private static void ReadNormalizer(ByteString body, Settings settings)
    {
        var input = body.CreateCodedInput();
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case NormalizerField.CharacterMap:
                    settings.HasCharacterMap = input.ReadBytes().Length > 0;
                    break;
                case NormalizerField.AddDummyPrefix:
                    settings.AddDummyPrefix = input.ReadBool();
                    break;
                case NormalizerField.RemoveExtraWhitespaces:
                    settings.RemoveExtraWhitespaces = input.ReadBool();
                    break;
                case NormalizerField.EscapeWhitespaces:
                    settings.EscapeWhitespaces = input.ReadBool();
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }
    }

    private static void Check(string file, List<SentencePiece> pieces, Settings settings)
    {
        if (pieces.Count == 0)
        {
            throw new TokenizerFormatException(file, "is a SentencePiece model without pieces, or no such model at all.", "Fetch the file again.");
        }

        Refuse(file, settings.ModelType != BytePairModel, "is a SentencePiece model of another kind than BPE (unigram, word or char).");
        Refuse(file, settings.HasCharacterMap, "normalises text by a character map.");
        Refuse(file, settings.RemoveExtraWhitespaces, "removes extra spaces from text.");
        Refuse(file, !settings.EscapeWhitespaces || settings.WhitespaceAsSuffix, "treats spaces in another way than Llama.");
        var texts = new HashSet<string>();
        for (var id = 0; id < pieces.Count; id++)
        {
            var piece = pieces[id];
            Refuse(
                file,
                piece.Kind is SentencePieceKind.UserDefined or SentencePieceKind.Unused || !Enum.IsDefined(piece.Kind),
                $"piece {id} (\"{piece.Text}\") is of the kind {piece.Kind}.");
            if (piece.Text.Length == 0 || !texts.Add(piece.Text) || float.IsNaN(piece.Score))
            {
                throw new TokenizerFormatException(
                    file, $"piece {id} (\"{piece.Text}\") is empty, there twice, or without a score.", "Fetch the file again.");
            }
        }

        for (var value = 0; value < 256; value++)
        {
            Refuse(file, !texts.Contains(ByteName((byte)value)), $"has no piece for byte 0x{value:X2}.");
        }

        foreach (var id in new[] { settings.BeginOfTextId, settings.EndOfTextId })
        {
            Refuse(file, id >= pieces.Count || id < -1, $"names {id} as a special token, but has {pieces.Count} pieces.");
        }
    }

    /// <summary>The name of a byte's piece, such as <c>&lt;0x0A&gt;</c>.</summary>
    public static string ByteName(byte value) => string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>");

    private static void Refuse(string file, bool condition, string problem)
    {
        if (condition)
        {
            throw new TokenizerFormatException(file, problem, Remedy);
        }
    }

    /// <summary>The fields that matter, with the defaults of <c>sentencepiece_model.proto</c>.</summary>
    private sealed class Settings
    {
        public int ModelType { get; set; } = 1;

        public bool WhitespaceAsSuffix { get; set; }

        public int UnknownId { get; set; }

        public int BeginOfTextId { get; set; } = 1;

        public int EndOfTextId { get; set; } = 2;

        public bool HasCharacterMap { get; set; }

        public bool AddDummyPrefix { get; set; } = true;

        public bool RemoveExtraWhitespaces { get; set; } = true;

        public bool EscapeWhitespaces { get; set; } = true;
    }

    // Field numbers of sentencepiece_model.proto.
    private static class ModelField
    {
        public const int Pieces = 1;
        public const int Trainer = 2;
        public const int Normalizer = 3;
    }

    private static class PieceField
    {
        public const int Text = 1;
        public const int Score = 2;
        public const int Kind = 3;
    }

    private static class TrainerField
    {
        public const int ModelType = 3;
        public const int WhitespaceAsSuffix = 24;
        public const int UnknownId = 40;
        public const int BeginOfTextId = 41;
        public const int EndOfTextId = 42;
    }

    private static class NormalizerField
    {
        public const int CharacterMap = 2;
        public const int AddDummyPrefix = 3;
        public const int RemoveExtraWhitespaces = 4;
        public const int EscapeWhitespaces = 5;
    }
}
