using System.Globalization;
using System.Text.RegularExpressions;

namespace SplitFrozen.Tasks.Metrics;

/// <summary>
/// The final number of a GSM8K answer: the first one written after <c>####</c>, as in the data set's own evaluation
/// (Cobbe et al., 2021). An answer without <c>####</c> has no number; the last number in the text is not taken instead.
/// </summary>
public static partial class Gsm8kAnswer
{
    /// <summary>
    /// The number after the first <c>####</c>, or null. A dollar sign, thousands commas and a sign are read; what follows the number
    /// (a unit, a full stop) is not.
    /// </summary>
    public static decimal? Extract(string answer)
    {
        var match = FinalNumber().Match(answer);
        if (!match.Success || match.Index != answer.IndexOf("####", StringComparison.Ordinal))
        {
            return null;
        }

        var digits = match.Groups["digits"].Value.Replace(",", "", StringComparison.Ordinal);
        if (!decimal.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
        {
            return null;
        }

        return match.Groups["sign"].Value is "-" or "\u2212" ? -number : number;
    }

    /// <summary>True when both have a final number and the two are equal in value: <c>1,000</c> equals <c>1000.0</c>.</summary>
    public static bool Matches(string answer, string reference) =>
        Extract(answer) is { } given && Extract(reference) is { } expected && given == expected;

    // White space is limited so that a model's endless blanks cost no more than a glance.
    [GeneratedRegex(@"####[ \t]{0,8}\$?(?<sign>[-+\u2212]?)\$?(?<digits>[0-9][0-9,]*(\.[0-9]+)?|\.[0-9]+)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex FinalNumber();
}
