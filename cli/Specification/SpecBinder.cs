using System.Globalization;
using System.Reflection;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SplitFrozen.Cli.Specification;

/// <summary>
/// Turns a YAML tree into a <see cref="RunSpec"/>. It goes on after a fault, so that one reading reports them all;
/// a value with a fault keeps its default.
/// </summary>
internal sealed class SpecBinder(string file, IReadOnlyDictionary<YamlNode, string> overridden, Func<string, string?> environment)
{
    private readonly List<SpecFault> _faults = [];
    private readonly Dictionary<string, string> _origins = new(StringComparer.Ordinal);

    /// <summary>The faults found so far.</summary>
    public IReadOnlyList<SpecFault> Faults => _faults;

    /// <summary>Where each value that the spec sets stands, by YAML path.</summary>
    public IReadOnlyDictionary<string, string> Origins => _origins;

    /// <summary>Reads the root mapping.</summary>
    public RunSpec Bind(YamlMappingNode root)
    {
        var spec = new RunSpec();
        BindSection(spec, root, "");
        return spec;
    }

    private void BindSection(object section, YamlMappingNode mapping, string prefix)
    {
        var keys = SpecSchema.Keys(section.GetType());
        foreach (var (keyNode, valueNode) in mapping.Children)
        {
            if (keyNode is not YamlScalarNode { Value: { } key })
            {
                Fault(prefix.TrimEnd('.'), keyNode, "a key must be plain text.");
                continue;
            }

            var path = prefix + key;
            _origins[path] = Origin(keyNode, valueNode);
            if (!keys.TryGetValue(key, out var property))
            {
                var hint = SpecSchema.Nearest(key, keys.Keys) is { } nearest ? $" Did you mean '{nearest}'?" : "";
                Fault(path, keyNode, $"unknown key.{hint} Known here: {string.Join(", ", keys.Keys)}.", valueNode);
                continue;
            }

            if (SpecSchema.IsSection(property.PropertyType))
            {
                BindNestedSection(section, property, valueNode, path);
            }
            else if (TryConvert(valueNode, property, path, out var value))
            {
                property.SetValue(section, value);
            }
        }
    }

    private void BindNestedSection(object section, PropertyInfo property, YamlNode node, string path)
    {
        if (node is YamlMappingNode nested)
        {
            BindSection(property.GetValue(section)!, nested, path + ".");
        }
        else
        {
            var keys = string.Join(", ", SpecSchema.Keys(property.PropertyType).Keys);
            Fault(path, node, $"expected a section with keys ({keys}), found {Describe(node)}.");
        }
    }

    private bool TryConvert(YamlNode node, PropertyInfo property, string path, out object? value)
    {
        var type = property.PropertyType;
        if (type == typeof(IReadOnlyList<string>))
        {
            return TryConvertList<string>(node, path, "a list such as [a, b]", TryText, out value);
        }

        if (type == typeof(IReadOnlyList<int>))
        {
            return TryConvertList<int>(node, path, "a list of whole numbers such as [2, 3]", TryInt, out value);
        }

        value = null;
        if (IsNull(node))
        {
            if (IsNullable(property))
            {
                return true;
            }

            Fault(path, node, "has no value.");
            return false;
        }

        var underlying = Nullable.GetUnderlyingType(type) ?? type;
        var (convert, expected) = ScalarConverter(underlying, path);
        if (node is YamlScalarNode scalar && convert(scalar, out value))
        {
            return true;
        }

        Fault(path, node, $"expected {expected}, found {Describe(node)}.");
        return false;
    }

    private delegate bool Converter(YamlScalarNode scalar, out object? value);

    private (Converter Convert, string Expected) ScalarConverter(Type type, string path) => type switch
    {
        _ when type == typeof(string) && SpecSchema.IsPath(path) =>
            ((YamlScalarNode scalar, out object? value) => TryPath(scalar, path, out value), "a path"),
        _ when type == typeof(string) => (TryText, "text"),
        _ when type == typeof(int) => (TryInt, "a whole number"),
        _ when type == typeof(long) => (TryLong, "a whole number"),
        _ when type == typeof(double) => (TryDouble, "a number"),
        _ when type == typeof(bool) => (TryBool, "true or false"),
        _ when type == typeof(WireType) => (TryWireType, "one of " + string.Join(", ", Enum.GetValues<WireType>().Select(w => w.Name()))),
        _ => throw new InvalidOperationException($"The spec key '{path}' has type {type}, which the reader does not know."),
    };

    private bool TryConvertList<T>(YamlNode node, string path, string expected, Converter convert, out object? value)
    {
        value = null;
        if (node is not YamlSequenceNode sequence)
        {
            Fault(path, node, $"expected {expected}, found {Describe(node)}.");
            return false;
        }

        var items = new List<T>();
        var good = true;
        foreach (var (child, index) in sequence.Children.Select((child, index) => (child, index)))
        {
            if (child is YamlScalarNode scalar && !IsNull(scalar) && convert(scalar, out var item))
            {
                items.Add((T)item!);
            }
            else
            {
                Fault($"{path}[{index}]", child, $"expected {(typeof(T) == typeof(int) ? "a whole number" : "text")}, found {Describe(child)}.");
                good = false;
            }
        }

        value = items;
        return good;
    }

    private static bool TryText(YamlScalarNode scalar, out object? value)
    {
        value = scalar.Value ?? "";
        return true;
    }

    private bool TryPath(YamlScalarNode scalar, string path, out object? value)
    {
        var (text, missing) = PathSubstitution.Apply(scalar.Value ?? "", environment);
        value = text;
        foreach (var name in missing)
        {
            Fault(path, scalar, $"the environment variable {name} is not set; set it, or write ${{{name}:-default}}.");
        }

        return true;
    }

    private static bool TryInt(YamlScalarNode scalar, out object? value)
    {
        var good = int.TryParse(Unquoted(scalar), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number);
        value = number;
        return good;
    }

    private static bool TryLong(YamlScalarNode scalar, out object? value)
    {
        var good = long.TryParse(Unquoted(scalar), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number);
        value = number;
        return good;
    }

    private static bool TryDouble(YamlScalarNode scalar, out object? value)
    {
        var good = double.TryParse(Unquoted(scalar), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number);
        value = number;
        return good;
    }

    private static bool TryBool(YamlScalarNode scalar, out object? value)
    {
        var text = Unquoted(scalar);
        value = text is "true";
        return text is "true" or "false";
    }

    private static bool TryWireType(YamlScalarNode scalar, out object? value)
    {
        foreach (var type in Enum.GetValues<WireType>())
        {
            if (type.Name() == scalar.Value)
            {
                value = type;
                return true;
            }
        }

        value = null;
        return false;
    }

    /// <summary>The text of a plain scalar; a quoted one is text in YAML, never a number.</summary>
    private static string? Unquoted(YamlScalarNode scalar) =>
        scalar.Style is ScalarStyle.Plain or ScalarStyle.Any ? scalar.Value : null;

    private static bool IsNull(YamlNode node) =>
        node is YamlScalarNode { Style: ScalarStyle.Plain or ScalarStyle.Any, Value: null or "" or "~" or "null" };

    private static bool IsNullable(PropertyInfo property) =>
        Nullable.GetUnderlyingType(property.PropertyType) is not null
        || new NullabilityInfoContext().Create(property).WriteState == NullabilityState.Nullable;

    private static string Describe(YamlNode node) => node switch
    {
        YamlMappingNode => "a section",
        YamlSequenceNode => "a list",
        YamlScalarNode scalar when IsNull(scalar) => "nothing",
        YamlScalarNode { Style: ScalarStyle.SingleQuoted or ScalarStyle.DoubleQuoted } scalar => $"the text \"{scalar.Value}\"",
        YamlScalarNode scalar => $"'{scalar.Value}'",
        _ => "something else",
    };

    private void Fault(string path, YamlNode node, string message, YamlNode? value = null) =>
        _faults.Add(new SpecFault(path, Origin(node, value ?? node), message));

    private string Origin(YamlNode node, YamlNode value) => overridden.GetValueOrDefault(value) ?? $"{file}:{node.Start.Line}";
}
