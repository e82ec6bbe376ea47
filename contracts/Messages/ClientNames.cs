using System.Globalization;

namespace SplitFrozen.Contracts.Messages;

/// <summary>How the clients of a run are called, but for devices with data of their own: their client has the device's name.</summary>
public static class ClientNames
{
    /// <summary>The client that holds the held-out split.</summary>
    public const string Evaluation = "evaluation";

    private const string Prefix = "client-";

    /// <summary>The client that holds part <paramref name="index"/> of the training rows, from 0: <c>client-1</c>, <c>client-2</c>, …</summary>
    public static string Of(int index) => Prefix + (index + 1).ToString(CultureInfo.InvariantCulture);

    /// <summary>True for a client of rows that the run's spec names; false for one that is a device with data of its own.</summary>
    public static bool IsOfSpec(string name) => name == Evaluation || IndexOf(name) is not null;

    /// <summary>The part that a client holds; null for a name that <see cref="Of"/> does not give.</summary>
    public static int? IndexOf(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.StartsWith(Prefix, StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 && Of(number - 1) == name
            ? number - 1
            : null;
    }
}
