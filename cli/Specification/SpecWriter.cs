using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Cli.Specification;

/// <summary>Writes a resolved spec as YAML that <see cref="SpecReader"/> reads back to the same values.</summary>
internal static class SpecWriter
{
    private static readonly JsonSerializerOptions s_text = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>All values with their YAML paths, in the order of the spec; unset optional values are left out.</summary>
    public static IReadOnlyDictionary<string, string> Flatten(RunSpec spec)
    {
        var values = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        Flatten(spec, "", values);
        return values;
    }

    /// <summary>The spec as YAML text.</summary>
    public static string Write(RunSpec spec)
    {
        var text = new StringBuilder();
        var section = "";
        foreach (var (path, value) in Flatten(spec))
        {
            var dot = path.IndexOf('.', StringComparison.Ordinal);
            if (dot >= 0 && path[..dot] != section)
            {
                section = path[..dot];
                text.Append(section).Append(":\n");
            }

            text.Append(dot >= 0 ? "  " : "").Append(path[(dot + 1)..]).Append(": ").Append(value).Append('\n');
        }

        return text.ToString();
    }

    private static void Flatten(object section, string prefix, OrderedDictionary<string, string> values)
    {
        foreach (var (key, property) in SpecSchema.Keys(section.GetType()))
        {
            var value = property.GetValue(section);
            if (SpecSchema.IsSection(property.PropertyType))
            {
                Flatten(value!, prefix + key + ".", values);
            }
            else if (value is not null)
            {
                values[prefix + key] = Text(value);
            }
        }
    }

    private static string Text(object value) => value switch
    {
        string text => JsonSerializer.Serialize(text, s_text),
        bool flag => flag ? "true" : "false",
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        WireType type => type.Name(),
        IEnumerable list => "[" + string.Join(", ", list.Cast<object>().Select(Text)) + "]",
        IFormattable formattable => formattable.ToString(null, CultureInfo.InvariantCulture),
        _ => throw new InvalidOperationException($"A spec value of type {value.GetType()} cannot be written."),
    };
}
