using System.Text;

namespace SplitFrozen.Tokenizers;

/// <summary>Checks that a string is valid UTF-16, so that it has exactly one UTF-8 form.</summary>
internal static class UnicodeText
{
    /// <exception cref="ArgumentException">A surrogate stands alone.</exception>
    public static void ThrowIfMalformed(string text)
    {
        var index = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF');
        while (index < text.Length && index >= 0)
        {
            if (Rune.TryGetRuneAt(text, index, out var rune))
            {
                index += rune.Utf16SequenceLength;
                continue;
            }

            throw new ArgumentException(
                $"The text holds half of a surrogate pair (U+{(int)text[index]:X4}) at position {index}, which has no UTF-8 form. "
                + "Repair or remove it in the input.",
                nameof(text));
        }
    }
}
