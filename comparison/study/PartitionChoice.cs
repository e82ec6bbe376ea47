using System.Globalization;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Comparison.Study;

/// <summary>One way to deal the data: <c>iid</c>, <c>dirichlet:ALPHA</c>, <c>classes:K</c> or <c>zipf:EXPONENT</c>.</summary>
/// <param name="Text">As written.</param>
/// <param name="Kind">Name of the partition in a run spec.</param>
/// <param name="Value">Its parameter; 0 for <c>iid</c>.</param>
public sealed record PartitionChoice(string Text, string Kind, double Value)
{
    /// <summary>Reads a choice, or returns false.</summary>
    public static bool TryParse(string text, out PartitionChoice? choice)
    {
        ArgumentNullException.ThrowIfNull(text);
        var (kind, value) = text.Split(':') switch
        {
            ["iid"] => ("iid", 0.0),
            ["dirichlet" or "zipf", var number] => (text[..text.IndexOf(':', StringComparison.Ordinal)], Positive(number)),
            ["classes", var number] => ("classes", double.IsInteger(Positive(number)) ? Positive(number) : double.NaN),
            _ => ("", double.NaN),
        };
        choice = double.IsFinite(value) ? new PartitionChoice(text, kind, value) : null;
        return choice is not null;
    }

    /// <summary>A run's clients, dealt this way.</summary>
    public ClientsSpec Apply(ClientsSpec clients)
    {
        ArgumentNullException.ThrowIfNull(clients);
        var dealt = clients with { Partition = Kind };
        return Kind switch
        {
            "dirichlet" => dealt with { Alpha = Value },
            "classes" => dealt with { ClassesPerClient = (int)Value },
            "zipf" => dealt with { Exponent = Value },
            _ => dealt,
        };
    }

    private static double Positive(string number) =>
        double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && value > 0 ? value : double.NaN;
}
