namespace SplitFrozen.Tokenizers.Tests;

/// <summary>BPE training as first published: recount everything after every merge. Only for ASCII letters and spaces.</summary>
internal static class TextbookTrainer
{
    public static List<(string Left, string Right)> Merges(IEnumerable<string> lines, int limit)
    {
        var words = lines.SelectMany(Words).Select(word => word.Select(c => c.ToString()).ToList()).ToList();
        var names = new List<string>();
        var merges = new List<(string, string)>();
        while (merges.Count < limit)
        {
            var counts = new Dictionary<(string, string), int>();
            foreach (var word in words)
            {
                for (var i = 1; i < word.Count; i++)
                {
                    var pair = (word[i - 1], word[i]);
                    counts[pair] = counts.GetValueOrDefault(pair) + 1;
                }
            }

            var candidates = counts.Where(entry => entry.Value >= 2 && !names.Contains(entry.Key.Item1 + entry.Key.Item2)).ToList();
            if (candidates.Count == 0)
            {
                break;
            }

            var best = candidates.OrderByDescending(entry => entry.Value)
                .ThenBy(entry => Id(entry.Key.Item1)).ThenBy(entry => Id(entry.Key.Item2)).First().Key;
            foreach (var word in words)
            {
                for (var i = 0; i + 1 < word.Count; i++)
                {
                    if ((word[i], word[i + 1]) == best)
                    {
                        word[i] += word[i + 1];
                        word.RemoveAt(i + 1);
                    }
                }
            }

            merges.Add(best);
            names.Add(best.Item1 + best.Item2);
        }

        return merges;

        // Ids of letters follow their code; a space is written as U+0120, after all letters.
        int Id(string token) => token.Length == 1 ? token[0] : 1000 + names.IndexOf(token);
    }

    private static IEnumerable<string> Words(string line) =>
        System.Text.RegularExpressions.Regex.Matches(line, @" ?[a-z]+|\s+(?!\S)|\s+").Select(match => match.Value.Replace(' ', 'Ġ'));
}
