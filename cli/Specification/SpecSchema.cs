using System.Collections.Concurrent;
using System.Reflection;
using System.Text.Json;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Cli.Specification;

/// <summary>The keys of the run spec, taken from <see cref="RunSpec"/> itself so that the two cannot differ.</summary>
internal static class SpecSchema
{
    private static readonly ConcurrentDictionary<Type, IReadOnlyDictionary<string, PropertyInfo>> s_keys = new();

    /// <summary>The keys of a section in the order in which it declares them, with the properties that they set.</summary>
    public static IReadOnlyDictionary<string, PropertyInfo> Keys(Type section) => s_keys.GetOrAdd(section, static type =>
    {
        var keys = new OrderedDictionary<string, PropertyInfo>(StringComparer.Ordinal);
        foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.CanWrite))
        {
            keys[JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)] = property;
        }

        return keys;
    });

    /// <summary>True for a section, which is a mapping in YAML.</summary>
    public static bool IsSection(Type type) => type.Namespace == typeof(RunSpec).Namespace && type is { IsClass: true };

    /// <summary>True for values in which <c>${NAME}</c> is substituted: they name files or folders.</summary>
    public static bool IsPath(string path) => path is "model.path" or "task.train" or "task.evaluation" or "cache.directory";

    /// <summary>The key that the user most likely meant, or null when none is near.</summary>
    public static string? Nearest(string key, IEnumerable<string> keys)
    {
        var (nearest, distance) = keys
            .Select(candidate => (candidate, distance: EditDistance(key, candidate)))
            .MinBy(pair => pair.distance);
        return nearest is not null && distance <= Math.Max(2, key.Length / 3) ? nearest : null;
    }

    /// <summary>Levenshtein distance, by its two-row recurrence.</summary>
    private static int EditDistance(string left, string right)
    {
        var previous = Enumerable.Range(0, right.Length + 1).ToArray();
        var current = new int[right.Length + 1];
        for (var i = 1; i <= left.Length; i++)
        {
            current[0] = i;
            for (var j = 1; j <= right.Length; j++)
            {
                var substitution = previous[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
                current[j] = Math.Min(substitution, Math.Min(previous[j], current[j - 1]) + 1);
            }

            (previous, current) = (current, previous);
        }

        return previous[right.Length];
    }
}
