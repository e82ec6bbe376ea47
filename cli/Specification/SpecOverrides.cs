using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SplitFrozen.Cli.Specification;

/// <summary>Puts <c>--set path=value</c> arguments into the YAML tree, so that they meet the same checks as the file.</summary>
internal static class SpecOverrides
{
    /// <summary>Applies one argument; a fault of its form goes to <paramref name="faults"/>.</summary>
    public static void Apply(YamlMappingNode root, string argument, Dictionary<YamlNode, string> origins, List<SpecFault> faults)
    {
        var origin = $"--set {argument}";
        var equals = argument.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0)
        {
            faults.Add(new SpecFault("", origin, "expected path=value, for example training.epochs=2."));
            return;
        }

        var path = argument[..equals].Trim();
        var keys = path.Split('.');
        if (Value(argument[(equals + 1)..].Trim(), path, origin, faults) is not { } value)
        {
            return;
        }

        var section = root;
        foreach (var key in keys[..^1])
        {
            if (!section.Children.TryGetValue(key, out var child))
            {
                child = new YamlMappingNode();
                origins[child] = origin;
                section.Children[key] = child;
            }

            if (child is not YamlMappingNode nested)
            {
                faults.Add(new SpecFault(path, origin, $"'{key}' is not a section."));
                return;
            }

            section = nested;
        }

        MarkOrigin(value, origin, origins);
        section.Children[keys[^1]] = value;
    }

    /// <summary>A value in brackets, braces or quotes is YAML; anything else is the plain text that the user typed.</summary>
    private static YamlNode? Value(string text, string path, string origin, List<SpecFault> faults)
    {
        if (text.Length == 0 || text[0] is not ('[' or '{' or '"' or '\''))
        {
            return new YamlScalarNode(text);
        }

        try
        {
            var stream = new YamlStream();
            stream.Load(new StringReader(text));
            return stream.Documents[0].RootNode;
        }
        catch (YamlException exception)
        {
            faults.Add(new SpecFault(path, origin, $"the value is not valid YAML: {(exception.InnerException ?? exception).Message}"));
            return null;
        }
    }

    private static void MarkOrigin(YamlNode node, string origin, Dictionary<YamlNode, string> origins)
    {
        origins[node] = origin;
        var children = node switch
        {
            YamlSequenceNode sequence => sequence.Children,
            YamlMappingNode mapping => mapping.Children.SelectMany(pair => new[] { pair.Key, pair.Value }),
            _ => [],
        };
        foreach (var child in children)
        {
            MarkOrigin(child, origin, origins);
        }
    }
}
