using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>
/// A text with <c>{column}</c> fields, for example <c>Question: {question}\nAnswer:</c>. A literal brace is written twice.
/// </summary>
public sealed class PromptTemplate
{
    private readonly IReadOnlyList<Segment> _segments;

    private PromptTemplate(IReadOnlyList<Segment> segments)
    {
        _segments = segments;
        Columns = [.. segments.Where(s => s.IsField).Select(s => s.Text).Distinct(StringComparer.Ordinal)];
    }

    /// <summary>The columns that the template names, each once, in order of first use.</summary>
    public IReadOnlyList<string> Columns { get; }

    /// <summary>Parses a template; on failure <paramref name="reason"/> says what is wrong and at which character, counted from 1.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out PromptTemplate? template, [NotNullWhen(false)] out string? reason)
    {
        var segments = new List<Segment>();
        var literal = new StringBuilder();
        template = null;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] is not ('{' or '}'))
            {
                literal.Append(text[i]);
            }
            else if (i + 1 < text.Length && text[i + 1] == text[i])
            {
                literal.Append(text[i++]);
            }
            else
            {
                var close = text.IndexOf('}', i);
                var name = text[i] == '{' && close > i ? text[(i + 1)..close] : "";
                if (string.IsNullOrWhiteSpace(name) || name.Contains('{', StringComparison.Ordinal))
                {
                    reason = $"the brace at character {i + 1} is not part of a {{column}} field; write a literal brace twice";
                    return false;
                }

                segments.Add(new Segment(literal.ToString(), IsField: false));
                segments.Add(new Segment(name, IsField: true));
                literal.Clear();
                i = close;
            }
        }

        segments.Add(new Segment(literal.ToString(), IsField: false));
        template = new PromptTemplate(segments);
        reason = null;
        return true;
    }

    /// <summary>The text with every field replaced by what <paramref name="value"/> gives for its column.</summary>
    public string Render(Func<string, string> value)
    {
        var text = new StringBuilder();
        foreach (var segment in _segments)
        {
            text.Append(segment.IsField ? value(segment.Text) : segment.Text);
        }

        return text.ToString();
    }

    private readonly record struct Segment(string Text, bool IsField);
}
