namespace SplitFrozen.Tokenizers;

/// <summary>
/// Turns text into token ids and back. Implementations are safe for use by several threads at once.
/// </summary>
public interface ITextTokenizer
{
    /// <summary>
    /// One more than the largest id this tokenizer can name, added and special tokens included. A model fits when its
    /// embedding has at least this many rows.
    /// </summary>
    int VocabularySize { get; }

    /// <summary>The token that starts a document, or <see langword="null"/> where the family has none. Never added by <see cref="Encode"/>.</summary>
    int? BeginOfTextId { get; }

    /// <summary>The token that ends a document, or <see langword="null"/> where none is known. Never added by <see cref="Encode"/>.</summary>
    int? EndOfTextId { get; }

    /// <summary>
    /// The ids of <paramref name="text"/>, taken as content only: the names of special tokens in it are ordinary letters, and
    /// no token is put before or after it. Empty text gives no ids.
    /// </summary>
    /// <exception cref="ArgumentException">The text holds half of a surrogate pair, which has no UTF-8 form; the message says where.</exception>
    int[] Encode(string text);

    /// <summary>
    /// The text of <paramref name="ids"/>. Special tokens come out by name; byte sequences that are not UTF-8 (a character cut
    /// in the middle) come out as U+FFFD.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">An id names no token of this vocabulary.</exception>
    string Decode(IReadOnlyList<int> ids);
}
