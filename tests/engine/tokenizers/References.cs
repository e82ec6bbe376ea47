using System.Text.Json;

namespace SplitFrozen.Tokenizers.Tests;

/// <summary>Texts and ids computed by references/make_references.py, which shares no code with the tokenizers here.</summary>
internal static class References
{
    public static IReadOnlyList<(string Text, int[] Ids)> Read(string column)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "references", "references.json");
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return
        [
            .. document.RootElement.EnumerateArray().Select(row => (
                row.GetProperty("text").GetString()!,
                row.GetProperty(column).EnumerateArray().Select(id => id.GetInt32()).ToArray())),
        ];
    }

    public static IReadOnlyList<string> Texts { get; } = [.. Read("gpt2").Select(row => row.Text)];

    /// <summary>Asserts every id of every text, and names all texts that differ.</summary>
    public static void AssertAll(ITextTokenizer tokenizer, string column)
    {
        var rows = Read(column);
        var wrong = rows.Where(row => !tokenizer.Encode(row.Text).SequenceEqual(row.Ids)).Select(row => row.Text).ToList();
        Assert.True(rows.Count >= 80);
        Assert.Empty(wrong);
    }
}
