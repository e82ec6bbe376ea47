using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using SplitFrozen.TestServers;

namespace SplitFrozen.Deploy.Tests.Rendering;

/// <summary>The compose file, read as an engine reads it: with its anchors merged, and variables at their defaults.</summary>
internal static partial class Compose
{
    public static string Folder { get; } = Path.Combine(Programs.Root, "deploy");

    public static JsonObject Read() =>
        Yaml.Documents(Variable().Replace(File.ReadAllText(Path.Combine(Folder, "compose.yaml")), "${default}")).Single();

    public static IReadOnlyDictionary<string, string> Environment(JsonNode service) =>
        (service["environment"]?.AsObject() ?? []).ToDictionary(variable => variable.Key, variable => (string)variable.Value!, StringComparer.Ordinal);

    [GeneratedRegex(@"\$\{[A-Z_]+:-(?<default>[^}]*)\}", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Variable();
}
