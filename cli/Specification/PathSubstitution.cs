using System.Text.RegularExpressions;

namespace SplitFrozen.Cli.Specification;

/// <summary>Replaces <c>${NAME}</c> and <c>${NAME:-default}</c> in paths by environment variables.</summary>
internal static partial class PathSubstitution
{
    /// <summary>Returns the text with its variables replaced, and the names of those that are unset and have no default.</summary>
    public static (string Text, IReadOnlyList<string> Missing) Apply(string text, Func<string, string?> environment)
    {
        var missing = new List<string>();
        var replaced = Variable().Replace(text, match =>
        {
            var name = match.Groups["name"].Value;
            if (environment(name) is { Length: > 0 } value)
            {
                return value;
            }

            if (match.Groups["default"].Success)
            {
                return match.Groups["default"].Value;
            }

            missing.Add(name);
            return match.Value;
        });
        return (replaced, missing);
    }

    [GeneratedRegex(@"\$\{(?<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?<default>[^}]*))?\}", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Variable();
}
