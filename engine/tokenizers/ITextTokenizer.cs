namespace SplitFrozen.Tokenizers;

/// <summary>Turns text into token ids and back. Implementations are immutable and safe to share between threads.</summary>
public interface ITextTokenizer
{
    /// <summary>Number of ids, special ones included; every id is in <c>[0, VocabularySize)</c>.</summary>
    int VocabularySize { get; }

    /// <summary>The id that models of this family expect before a text; null where the family has none (GPT-2).</summary>
    int? BeginOfTextId { get; }

    /// <summary>The id that ends a text; null where the tokenizer has none.</summary>
    int? EndOfTextId { get; }

    /// <summary>The ids of <paramref name="text"/>. It is content: special tokens spelled in it are plain characters, and none are added.</summary>
    int[] Encode(string text);

    /// <summary>The text of <paramref name="ids"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside <c>[0, VocabularySize)</c>.</exception>
    string Decode(IReadOnlyList<int> ids);
}
