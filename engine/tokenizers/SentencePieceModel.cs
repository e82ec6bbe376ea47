namespace SplitFrozen.Tokenizers;

/// <summary>What a SentencePiece entry is; the numbers are those of <c>sentencepiece_model.proto</c>.</summary>
internal enum SentencePieceKind
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
internal readonly record struct SentencePiece(string Text, float Score, SentencePieceKind Kind);

/// <summary>
/// A SentencePiece BPE model with byte fallback, as Llama 1 and 2 and llama2.c use it: no text normalisation, a space put
/// before the text.
/// </summary>
internal sealed class SentencePieceModel
{
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
}
