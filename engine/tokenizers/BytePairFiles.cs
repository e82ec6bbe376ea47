using System.Text;

namespace SplitFrozen.Tokenizers;

/// <summary>Reads GPT-2's pair of files, <c>vocab.json</c> and <c>merges.txt</c>.</summary>
internal static class BytePairFiles
{
    public const string VocabularyFile = "vocab.json";
    public const string MergesFile = "merges.txt";
    public const string EndOfText = "<|endoftext|>";

    public static ByteLevelTokenizer Open(string vocabularyPath, string mergesPath)
    {
        var vocabulary = ReadVocabulary(vocabularyPath);
        var merges = ReadMerges(mergesPath);
        return new ByteLevelVocabulary(vocabularyPath, vocabulary, mergesPath, merges) { Special = [EndOfText] }
            .Build(PieceSplitter.Gpt2, beginOfText: null, endOfText: EndOfText, ignoreMerges: false);
    }

    private static Dictionary<string, int> ReadVocabulary(string path)
    {
        using var document = JsonFile.Read(path);
        return JsonFile.Vocabulary(path, "the vocabulary", document.RootElement);
    }

    private static List<(string Left, string Right)> ReadMerges(string path)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(path, new UTF8Encoding(false, throwOnInvalidBytes: true));
        }
        catch (DecoderFallbackException fault)
        {
            throw new TokenizerFormatException(path, "is not UTF-8 text.", "Fetch the file again.", fault);
        }

        var merges = new List<(string, string)>(lines.Length);
        for (var i = 0; i < lines.Length; i++)
        {
            if (lines[i].Length == 0 || (i == 0 && lines[i].StartsWith("#version", StringComparison.Ordinal)))
            {
                continue;
            }

            merges.Add(SplitMerge(path, $"line {i + 1}", lines[i]));
        }

        return merges;
    }

    /// <summary>The two halves of a merge written as <c>"left right"</c>.</summary>
    public static (string Left, string Right) SplitMerge(string file, string where, string merge)
    {
        var space = merge.IndexOf(' ');
        return space > 0 && space < merge.Length - 1 && merge.IndexOf(' ', space + 1) < 0
            ? (merge[..space], merge[(space + 1)..])
            : throw new TokenizerFormatException(
                file, $"{where} is not a merge (two tokens with one space between): \"{merge}\".", "Fetch the file again.");
    }
}
