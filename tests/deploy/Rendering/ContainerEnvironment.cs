using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using k8s.Models;

namespace SplitFrozen.Deploy.Tests.Rendering;

/// <summary>The environment variables that a container gets, with a word in the place of every secret.</summary>
internal static partial class ContainerEnvironment
{
    public static IReadOnlyDictionary<string, string> Of(Manifests manifests, Workload workload, V1Container container)
    {
        var maps = manifests.All<V1ConfigMap>().ToDictionary(map => map.Metadata.Name, map => map.Data, StringComparer.Ordinal);
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var source in container.EnvFrom ?? [])
        {
            foreach (var (name, value) in maps.GetValueOrDefault(source.ConfigMapRef?.Name ?? "") ?? new Dictionary<string, string>())
            {
                variables[name] = value;
            }
        }

        // A reference finds what stands before it in `env`, and nothing of `envFrom`.
        var before = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var variable in container.Env ?? [])
        {
            before[variable.Name] = variable.ValueFrom switch
            {
                null => Reference().Replace(variable.Value ?? "", match => before.GetValueOrDefault(match.Groups["name"].Value, match.Value)),
                { SecretKeyRef: { } secret } => Word(secret),
                { ConfigMapKeyRef: { } key } => maps.GetValueOrDefault(key.Name)?.TryGetValue(key.Key, out var value) == true ? value : "",
                { FieldRef.FieldPath: "metadata.name" } => $"{workload.Name}-0",
                { FieldRef.FieldPath: "metadata.namespace" } => manifests.Namespace,
                _ => "",
            };
            variables[variable.Name] = before[variable.Name];
        }

        return variables;
    }

    /// <summary>Names that are there only to be put into other values.</summary>
    public static IReadOnlySet<string> Parts(V1Container container) =>
        (container.Env ?? []).SelectMany(variable => Reference().Matches(variable.Value ?? "")).Select(match => match.Groups["name"].Value).ToHashSet(StringComparer.Ordinal);

    /// <summary>What every kind of secret may be here: a word as a password, and digits as a hash.</summary>
    private static string Word(V1SecretKeySelector secret) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{secret.Name}/{secret.Key}")));

    [GeneratedRegex(@"\$\((?<name>[A-Za-z_][A-Za-z0-9_]*)\)", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    public static partial Regex Reference();
}
