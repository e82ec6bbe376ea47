using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace SplitFrozen.Tokenizers;

/// <summary>
/// Reads Llama 3's <c>tokenizer.model</c>: a line of base64 bytes and rank per token. The 256 special tokens follow the ranks
/// and are not in the file; they bear the names of Llama 3.1.
/// </summary>
internal static class TiktokenRanks
{
    public const string BeginOfText = "<|begin_of_text|>";
    public const string EndOfText = "<|end_of_text|>";

    private const int SpecialCount = 256;

    private const string Remedy = "Fetch the file again; every line is base64, a space, and the rank.";

    /// <summary>Whether the content begins like such a file.</summary>
    public static bool LooksLike(ReadOnlySpan<byte> content)
    {
        var end = content.IndexOf((byte)'\n');
        var line = (end < 0 ? content : content[..end]).TrimEnd((byte)'\r');
        var space = line.IndexOf((byte)' ');
        return space > 0 && Base64.IsValid(line[..space]) && line[(space + 1)..].IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0;
    }

    /// <exception cref="TokenizerFormatException">A line is damaged, or the ranks are not those of a byte-level vocabulary.</exception>
    public static ByteLevelTokenizer Read(string file, byte[] content, SpecialTokenNames names)
    {
        var tokens = ReadTokens(file, content);
        var bytes = new byte[tokens.Count + SpecialCount][];
        foreach (var (token, rank) in tokens)
        {
            bytes[rank] = token;
        }

        var special = SpecialTokens(tokens.Count);
        foreach (var (name, id) in special)
        {
            bytes[id] = Encoding.UTF8.GetBytes(name);
        }

        using var stream = new MemoryStream(content);
        var merger = TiktokenTokenizer.Create(stream, preTokenizer: null, normalizer: null, specialTokens: null);
        return new ByteLevelTokenizer(PieceSplitter.Llama3, merger, bytes)
        {
            BeginOfTextId = special[names.BeginOfText is { } begin && special.ContainsKey(begin) ? begin : BeginOfText],
            EndOfTextId = special[names.EndOfText is { } end && special.ContainsKey(end) ? end : EndOfText],
        };
    }

    private static List<(byte[] Token, int Rank)> ReadTokens(string file, byte[] content)
    {
        var lines = Encoding.UTF8.GetString(content).Split('\n');
        var tokens = new List<(byte[] Token, int Rank)>(lines.Length);
        var seen = new HashSet<string>();
        for (var i = 0; i < lines.Length; i++)
        {
            var line = lines[i].TrimEnd('\r');
            if (line.Length == 0)
            {
                continue;
            }

            var space = line.IndexOf(' ');
            if (space <= 0
                || !Base64.IsValid(line.AsSpan(0, space))
                || !int.TryParse(line.AsSpan(space + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var rank)
                || !seen.Add(line[..space]))
            {
                throw new TokenizerFormatException(file, $"line {i + 1} is damaged or repeats a token: \"{line}\".", Remedy);
            }

            tokens.Add((Convert.FromBase64String(line[..space]), rank));
        }

        var ranks = tokens.Select(token => token.Rank).ToHashSet();
        if (ranks.Count != tokens.Count || ranks.Max() != tokens.Count - 1)
        {
            throw new TokenizerFormatException(file, $"its {tokens.Count} ranks are not 0 to {tokens.Count - 1}, each once.", Remedy);
        }

        if (tokens.Count(token => token.Token.Length == 1) != 256)
        {
            throw new TokenizerFormatException(file, "does not hold a token for each of the 256 bytes.", Remedy);
        }

        return tokens;
    }

    private static Dictionary<string, int> SpecialTokens(int first)
    {
        string[] named =
        [
            BeginOfText, EndOfText, Reserved(0), Reserved(1), "<|finetune_right_pad_id|>", Reserved(2), "<|start_header_id|>",
            "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
        ];
        return named.Concat(Enumerable.Range(3, SpecialCount - named.Length).Select(Reserved))
            .Select((name, index) => (name, index))
            .ToDictionary(entry => entry.name, entry => first + entry.index);
    }

    private static string Reserved(int number) => $"<|reserved_special_token_{number}|>";
}
