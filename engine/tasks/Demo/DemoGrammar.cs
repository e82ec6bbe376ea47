using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.Tasks.Demo;

/// <summary>
/// Builds sentences from clauses so that the class follows from how the words are put together: a negation turns an
/// adjective round, and of two opposed clauses the main one decides. Every adjective, noun and connective occurs in both classes.
/// </summary>
internal sealed class DemoGrammar(SeededRandom random)
{
    private const double NegatedShare = 0.2;

    private static readonly string[] s_films = ["film", "movie", "story", "script", "plot", "ending", "acting", "cast", "music", "dialogue", "first half", "last act", "camera work", "humour"];
    private static readonly string[] s_books = ["book", "novel", "opening chapter", "writing", "hero", "villain", "translation", "second part", "setting", "prose"];
    private static readonly string[] s_meals = ["food", "soup", "bread", "dessert", "service", "menu", "room", "coffee", "wine", "view"];

    private static readonly string[] s_good =
    [
        "good", "great", "lovely", "fine", "excellent", "charming", "clever", "warm", "fresh", "honest", "pleasant", "beautiful",
        "memorable", "delightful", "strong", "well made", "worth the price", "impressive", "satisfying", "wonderful",
    ];

    private static readonly string[] s_bad =
    [
        "bad", "dull", "poor", "weak", "boring", "awful", "slow", "cold", "stale", "false", "unpleasant", "ugly",
        "forgettable", "tiresome", "clumsy", "badly made", "a waste of money", "disappointing", "annoying", "terrible",
    ];

    private static readonly string[] s_praising = ["liked", "enjoyed", "loved", "admired", "would recommend"];
    private static readonly string[] s_blaming = ["disliked", "regretted", "hated", "endured", "would avoid"];
    private static readonly string[] s_people = ["I", "we", "my friend", "everyone at our table", "most people there", "my sister"];
    private static readonly string[] s_is = ["is", "was", "seems", "felt"];
    private static readonly string[] s_degree = ["", "", "", "very ", "really ", "quite ", "rather ", "truly "];
    private static readonly string[] s_negatedDegree = ["", "", "very ", "really "];
    private static readonly string[] s_opening = ["", "", "", "", "to be fair, ", "in the end, ", "for me, ", "this time, ", "as always, "];
    private static readonly string[] s_contrast = [", but ", ", yet ", "; however, "];
    private static readonly string[] s_concession = ["although ", "even though ", "while "];
    private static readonly string[] s_trailingConcession = [", although ", ", even though ", ", though "];
    private static readonly string[] s_agreement = [" and ", ", and ", "; also, "];

    /// <summary>A sentence of the given class.</summary>
    public string Sentence(bool positive)
    {
        var nouns = Pick(s_films, s_books, s_meals);
        var first = random.NextInt32(nouns.Length);
        var second = (first + 1 + random.NextInt32(nouns.Length - 1)) % nouns.Length;
        var main = Clause(nouns[first], positive);
        var form = random.NextDouble();
        var text = form switch
        {
            < 0.50 => main,
            < 0.70 => main + Pick(s_agreement) + Clause(nouns[second], positive),
            < 0.85 => Clause(nouns[second], !positive) + Pick(s_contrast) + main,
            < 0.93 => Pick(s_concession) + Clause(nouns[second], !positive) + ", " + main,
            _ => main + Pick(s_trailingConcession) + Clause(nouns[second], !positive),
        };
        text = Pick(s_opening) + text;
        return char.ToUpperInvariant(text[0]) + text[1..] + ".";
    }

    private string Clause(string noun, bool positive)
    {
        var negated = random.NextDouble() < NegatedShare;
        var favourable = positive != negated;
        if (random.NextDouble() < 0.25)
        {
            var verb = Pick(favourable ? s_praising : s_blaming);
            return negated ? $"nobody {verb} the {noun}" : $"{Pick(s_people)} {verb} the {noun}";
        }

        var adjective = Pick(favourable ? s_good : s_bad);
        var is_ = Pick(s_is);
        var takesDegree = !adjective.Contains(' ');
        var degree = takesDegree ? Pick(negated ? s_negatedDegree : s_degree) : string.Empty;
        if (!negated)
        {
            return $"the {noun} {is_} {degree}{adjective}";
        }

        return random.NextInt32(4) switch
        {
            0 => $"the {noun} is not {degree}{adjective}",
            1 => $"the {noun} was never {adjective}",
            2 => $"the {noun} {is_} anything but {adjective}",
            _ => $"nobody could call the {noun} {adjective}",
        };
    }

    private T Pick<T>(params T[] choices) => choices[random.NextInt32(choices.Length)];
}
