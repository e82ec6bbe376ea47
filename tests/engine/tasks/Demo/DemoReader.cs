using System.Text.RegularExpressions;

namespace SplitFrozen.Tasks.Tests.Demo;

/// <summary>
/// Reads a demo sentence as a person would, from the text alone: find the clause that decides, the opinion word in it, and
/// whether something negates it.
/// </summary>
internal static class DemoReader
{
    private static readonly string[] s_favourable =
    [
        "good", "great", "lovely", "fine", "excellent", "charming", "clever", "warm", "fresh", "honest", "pleasant", "beautiful",
        "memorable", "delightful", "strong", "well", "worth", "impressive", "satisfying", "wonderful",
        "liked", "enjoyed", "loved", "admired", "recommend",
    ];

    private static readonly string[] s_unfavourable =
    [
        "bad", "dull", "poor", "weak", "boring", "awful", "slow", "cold", "stale", "false", "unpleasant", "ugly",
        "forgettable", "tiresome", "clumsy", "badly", "waste", "disappointing", "annoying", "terrible",
        "disliked", "regretted", "hated", "endured", "avoid",
    ];

    private static readonly string[] s_negations = ["not", "never", "nobody", "anything"];

    public static IEnumerable<string> Words(string text) => Regex.Matches(text.ToLowerInvariant(), "[a-z]+").Select(match => match.Value);

    public static bool IsPositive(string text)
    {
        var words = Words(DecidingClause(text)).ToList();
        var favourable = words.Count(s_favourable.Contains);
        var unfavourable = words.Count(s_unfavourable.Contains);
        Assert.True(favourable + unfavourable >= 1 && (favourable == 0 || unfavourable == 0), text);
        return favourable > 0 != words.Any(s_negations.Contains);
    }

    private static string DecidingClause(string text)
    {
        var body = Regex.Replace(text.TrimEnd('.').ToLowerInvariant(), "^(to be fair|in the end|for me|this time|as always), ", "");
        if (Regex.Match(body, "^(although|even though|while) .*?, (.*)$") is { Success: true } leading)
        {
            return leading.Groups[2].Value;
        }

        if (Regex.Match(body, "^(.*), (although|even though|though) ") is { Success: true } trailing)
        {
            return trailing.Groups[1].Value;
        }

        if (Regex.Match(body, "(, but|, yet|; however,) (.*)$") is { Success: true } contrast)
        {
            return contrast.Groups[2].Value;
        }

        return Regex.Match(body, "^(.*?)(, and | and |; also, |$)").Groups[1].Value;
    }
}
