using System.Text.RegularExpressions;

namespace SplitFrozen.Cli.Events;

/// <summary>Orders names as people do: <c>client-2</c> before <c>client-10</c>.</summary>
internal sealed partial class NaturalOrder : IComparer<string>
{
    /// <summary>The one instance.</summary>
    public static readonly NaturalOrder Instance = new();

    private const int WidestNumber = 12;

    /// <inheritdoc/>
    public int Compare(string? x, string? y)
    {
        var order = string.CompareOrdinal(Padded(x), Padded(y));
        return order != 0 ? order : string.CompareOrdinal(x, y);
    }

    private static string Padded(string? name) => Number().Replace(name ?? "", match => match.Value.PadLeft(WidestNumber, '0'));

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Number();
}
