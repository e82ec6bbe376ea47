using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace SplitFrozen.Tokenizers;

/// <summary>
/// Cuts text into the pieces within which merges happen, by a tokenizer's regular expression. .NET's expressions see UTF-16
/// units, so that a letter beyond U+FFFF is no <c>\p{L}</c> to them: such characters are replaced by a stand-in of the same
/// Unicode category before matching, and the cuts are mapped back.
/// </summary>
internal sealed partial class PieceSplitter(Regex pattern)
{
    /// <summary>GPT-2's expression, with its published spelling.</summary>
    public const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Llama 3's expression, with its published spelling.</summary>
    public const string Llama3Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly Lazy<char[]> s_standIns = new(FindStandIns);

    public static PieceSplitter Gpt2 { get; } = new(Gpt2Expression());

    public static PieceSplitter Llama3 { get; } = new(Llama3Expression());

    /// <summary>
    /// Appends to <paramref name="ends"/> the exclusive end of every piece, in UTF-16 units. The pieces cover the text: what
    /// the expression does not match is a piece too.
    /// </summary>
    public void Split(string text, List<int> ends)
    {
        var matched = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0 ? text : ReplaceSupplementary(text);
        var first = ends.Count;
        var position = 0;
        foreach (var match in pattern.EnumerateMatches(matched))
        {
            if (match.Length == 0)
            {
                continue;
            }

            if (match.Index > position)
            {
                ends.Add(match.Index);
            }

            position = match.Index + match.Length;
            ends.Add(position);
        }

        if (position < matched.Length)
        {
            ends.Add(matched.Length);
        }

        if (matched.Length != text.Length)
        {
            MapBack(text, ends, first);
        }
    }

    private static string ReplaceSupplementary(string text)
    {
        var standIns = s_standIns.Value;
        var builder = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            builder.Append(rune.IsBmp ? (char)rune.Value : standIns[(int)Rune.GetUnicodeCategory(rune)]);
        }

        return builder.ToString();
    }

    private static void MapBack(string text, List<int> ends, int first)
    {
        var original = 0;
        var replaced = 0;
        for (var i = first; i < ends.Count; i++)
        {
            for (; replaced < ends[i]; replaced++)
            {
                original += char.IsHighSurrogate(text[original]) ? 2 : 1;
            }

            ends[i] = original;
        }
    }

    /// <summary>
    /// Per Unicode category a character that no expression spells out: the last of it below the surrogates, so that it neither
    /// equals nor case-folds to one of the ASCII letters that expressions name.
    /// </summary>
    private static char[] FindStandIns()
    {
        var standIns = new char[(int)UnicodeCategory.OtherNotAssigned + 1];
        for (var c = '\u0100'; c < '\uD800'; c++)
        {
            standIns[(int)CharUnicodeInfo.GetUnicodeCategory(c)] = c;
        }

        standIns[(int)UnicodeCategory.PrivateUse] = '\uE000';
        return standIns;
    }

    [GeneratedRegex(Gpt2Pattern, RegexOptions.CultureInvariant)]
    private static partial Regex Gpt2Expression();

    [GeneratedRegex(Llama3Pattern, RegexOptions.CultureInvariant)]
    private static partial Regex Llama3Expression();
}
