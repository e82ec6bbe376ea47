using System.Net;
using System.Text;

namespace SplitFrozen.Cli.Comparison;

/// <summary>A part of a report, free of any format.</summary>
internal abstract record ReportBlock
{
    private ReportBlock()
    {
    }

    /// <summary>A heading; level 1 is the title.</summary>
    public sealed record Heading(int Level, string Text) : ReportBlock;

    /// <summary>A paragraph of plain text.</summary>
    public sealed record Paragraph(string Text) : ReportBlock;

    /// <summary>A command line.</summary>
    public sealed record Command(string Text) : ReportBlock;

    /// <summary>A table; the first column is text, the others are figures.</summary>
    public sealed record Table(IReadOnlyList<string> Header, IReadOnlyList<IReadOnlyList<string>> Rows) : ReportBlock;

    /// <summary>A drawing.</summary>
    /// <param name="Name">Name of its file, without extension.</param>
    /// <param name="Title">What it shows.</param>
    /// <param name="Svg">The SVG document.</param>
    public sealed record Figure(string Name, string Title, string Svg) : ReportBlock;
}

/// <summary>A report that is written as Markdown with figures beside it, and as one HTML file that needs nothing else.</summary>
internal sealed class ReportDocument(IReadOnlyList<ReportBlock> blocks)
{
    private const string Style =
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
        + "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .8rem;border-bottom:1px solid #ddd;text-align:right}"
        + "th:first-child,td:first-child{text-align:left}pre{background:#f5f5f5;padding:.8rem;white-space:pre-wrap}svg{max-width:100%;height:auto}";

    /// <summary>Writes <c>report.md</c>, <c>report.html</c> and the figures.</summary>
    public void WriteTo(string folder)
    {
        _ = Directory.CreateDirectory(folder);
        foreach (var figure in blocks.OfType<ReportBlock.Figure>())
        {
            File.WriteAllText(Path.Combine(folder, figure.Name + ".svg"), figure.Svg);
        }

        File.WriteAllText(Path.Combine(folder, "report.md"), ToMarkdown());
        File.WriteAllText(Path.Combine(folder, "report.html"), ToHtml());
    }

    /// <summary>The report as Markdown.</summary>
    public string ToMarkdown() => string.Join("\n\n", blocks.Select(Markdown)) + "\n";

    /// <summary>The report as an HTML page with its figures inside.</summary>
    public string ToHtml()
    {
        var title = blocks.OfType<ReportBlock.Heading>().FirstOrDefault()?.Text ?? "Report";
        var text = new StringBuilder($"<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{Escaped(title)}</title><style>{Style}</style></head>\n<body>\n");
        foreach (var block in blocks)
        {
            text.Append(Html(block)).Append('\n');
        }

        return text.Append("</body>\n</html>\n").ToString();
    }

    private static string Markdown(ReportBlock block) => block switch
    {
        ReportBlock.Heading heading => $"{new string('#', heading.Level)} {heading.Text}",
        ReportBlock.Paragraph paragraph => paragraph.Text,
        ReportBlock.Command command => $"```sh\n{command.Text}\n```",
        ReportBlock.Figure figure => $"![{figure.Title}]({figure.Name}.svg)",
        ReportBlock.Table table => string.Join(
            '\n',
            table.Rows.Select(MarkdownRow).Prepend($"| --- |{string.Concat(Enumerable.Repeat(" ---: |", table.Header.Count - 1))}").Prepend(MarkdownRow(table.Header))),
        _ => throw new ArgumentOutOfRangeException(nameof(block), block, "Not a block."),
    };

    private static string MarkdownRow(IEnumerable<string> cells) => $"| {string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)))} |";

    private static string Html(ReportBlock block) => block switch
    {
        ReportBlock.Heading heading => $"<h{heading.Level}>{Escaped(heading.Text)}</h{heading.Level}>",
        ReportBlock.Paragraph paragraph => $"<p>{Escaped(paragraph.Text)}</p>",
        ReportBlock.Command command => $"<pre>{Escaped(command.Text)}</pre>",
        ReportBlock.Figure figure => $"<figure aria-label=\"{Escaped(figure.Title)}\">{figure.Svg[figure.Svg.IndexOf("<svg", StringComparison.Ordinal)..]}</figure>",
        ReportBlock.Table table => $"<table>{HtmlRow("th", table.Header)}{string.Concat(table.Rows.Select(row => HtmlRow("td", row)))}</table>",
        _ => throw new ArgumentOutOfRangeException(nameof(block), block, "Not a block."),
    };

    private static string HtmlRow(string tag, IEnumerable<string> cells) => $"<tr>{string.Concat(cells.Select(cell => $"<{tag}>{Escaped(cell)}</{tag}>"))}</tr>\n";

    private static string Escaped(string text) => WebUtility.HtmlEncode(text);
}
