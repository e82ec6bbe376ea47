using System.Collections;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.RunSpecification;

/// <summary>Writes the reference page of the run spec from the spec's own properties, defaults and docstrings.</summary>
internal static partial class RunSpecReference
{
    private static readonly XDocument Documentation =
        XDocument.Load(Path.Combine(AppContext.BaseDirectory, $"{typeof(RunSpec).Assembly.GetName().Name}.xml"));

    public static string ToMarkdown()
    {
        var page = new StringBuilder("""
            # Every key of a run spec

            A run spec is a YAML file. A key that is left out keeps its default; a key that is not listed here is refused. This
            page is made from the code, and a test holds the two together.

            """);
        page.Append("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        var sections = new List<PropertyInfo>();
        foreach (var property in typeof(RunSpec).GetProperties())
        {
            if (IsSection(property.PropertyType))
            {
                sections.Add(property);
            }
            else
            {
                page.Append(Row("", property, new RunSpec()));
            }
        }

        foreach (var section in sections)
        {
            var defaults = section.GetValue(new RunSpec())!;
            page.Append($"\n## {Key(section)}\n\n{Summary($"T:{section.PropertyType.FullName}")}\n\n");
            page.Append("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
            foreach (var property in section.PropertyType.GetProperties())
            {
                page.Append(Row($"{Key(section)}.", property, defaults));
            }
        }

        return page.ToString();
    }

    private static string Row(string prefix, PropertyInfo property, object defaults) =>
        $"| `{prefix}{Key(property)}` | {TypeName(property.PropertyType)} | {Default(property.GetValue(defaults))} | "
        + $"{Summary($"P:{property.DeclaringType!.FullName}.{property.Name}").Replace("|", "\\|", StringComparison.Ordinal)} |\n";

    private static bool IsSection(Type type) => type.IsClass && type.Namespace == typeof(RunSpec).Namespace;

    private static string Key(PropertyInfo property) => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name);

    private static string TypeName(Type type) =>
        type == typeof(string) ? "text"
        : type == typeof(bool) ? "true or false"
        : type == typeof(double) ? "number"
        : type == typeof(int) || type == typeof(long) || type == typeof(int?) ? "whole number"
        : type == typeof(WireType) ? "name"
        : type == typeof(IReadOnlyList<string>) ? "list of texts"
        : type == typeof(IReadOnlyList<int>) ? "list of whole numbers"
        : throw new NotSupportedException($"The reference has no name for {type}.");

    private static string Default(object? value) => value switch
    {
        null => "none",
        "" => "none",
        bool flag => flag ? "`true`" : "`false`",
        WireType type => $"`{type.Name()}`",
        string text => $"`{text}`",
        IEnumerable => "`[]`",
        _ => $"`{value}`",
    };

    private static string Summary(string member)
    {
        var summary = Documentation.Descendants("member").Single(m => (string?)m.Attribute("name") == member).Element("summary")!;
        return WhiteSpace().Replace(string.Concat(summary.Nodes().Select(Text)), " ").Trim();
    }

    private static string Text(XNode node) => node switch
    {
        XText text => text.Value,
        XElement { Name.LocalName: "see" } see => $"`{JsonNamingPolicy.SnakeCaseLower.ConvertName(see.Attribute("cref")!.Value.Split('.')[^1])}`",
        XElement element => $"`{element.Value}`",
        _ => "",
    };

    [GeneratedRegex(@"\s+")]
    private static partial Regex WhiteSpace();
}
