using SplitFrozen.Tokenizers;

namespace SplitFrozen.Tasks.Encoders;

/// <summary>
/// Texts to ids for classification: <c>[begin-of-text] first [separator second]</c>. The separator is the end-of-text id, which
/// GPT-2-style tokenizers know as the border between documents, or a newline where the tokenizer has none. Nothing is
/// appended, so the last token, where the head reads, is the text's own.
/// </summary>
internal sealed class ClassificationEncoder
{
    private readonly ITextTokenizer _tokenizer;
    private readonly int[] _begin;
    private readonly int[] _separator;
    private readonly int _maxLength;

    public ClassificationEncoder(ITextTokenizer tokenizer, int maxLength)
    {
        _tokenizer = tokenizer;
        _begin = tokenizer.BeginOfTextId is { } begin ? [begin] : [];
        _separator = tokenizer.EndOfTextId is { } end ? [end] : tokenizer.Encode("\n");
        _maxLength = maxLength;
    }

    /// <summary>Ids of one text, or of two joined; cut at the end to the longest length.</summary>
    public int[] Encode(IReadOnlyList<string> texts)
    {
        var first = _tokenizer.Encode(texts[0]);
        if (texts.Count == 1)
        {
            return [.. _begin, .. first.AsSpan(0, Math.Min(first.Length, _maxLength - _begin.Length))];
        }

        var second = _tokenizer.Encode(texts[1]);
        var (firstLength, secondLength) = CutLongerFirst(first.Length, second.Length, _maxLength - _begin.Length - _separator.Length);
        return [.. _begin, .. first.AsSpan(0, firstLength), .. _separator, .. second.AsSpan(0, secondLength)];
    }

    /// <summary>
    /// Lengths after cutting one token at a time off the longer text, off the second where both are equally long, until
    /// both fit in <paramref name="room"/>.
    /// </summary>
    public static (int First, int Second) CutLongerFirst(int first, int second, int room)
    {
        if (first + second <= room)
        {
            return (first, second);
        }

        var shorter = Math.Min(Math.Min(first, second), room / 2);
        return second > first && shorter == first ? (shorter, room - shorter) : (room - shorter, shorter);
    }
}
