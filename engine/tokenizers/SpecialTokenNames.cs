using System.Text.Json;

namespace SplitFrozen.Tokenizers;

/// <summary>What <c>tokenizer_config.json</c>, where there is one, says about a tokenizer.</summary>
internal sealed record SpecialTokenNames(string? TokenizerClass, string? BeginOfText, string? EndOfText, bool AddPrefixSpace)
{
    public const string FileName = "tokenizer_config.json";

    public static SpecialTokenNames Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
        {
            return new SpecialTokenNames(null, null, null, false);
        }

        using var document = JsonFile.Read(path);
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new TokenizerFormatException(path, "is not a JSON object.", "Fetch the file again.");
        }

        var begin = Name(root, "bos_token");
        var end = Name(root, "eos_token");

        // GPT-2 lists its one special token as both; it stands after documents, not before them.
        return new SpecialTokenNames(
            Name(root, "tokenizer_class"),
            begin == end ? null : begin,
            end,
            root.TryGetProperty("add_prefix_space", out var prefix) && prefix.ValueKind == JsonValueKind.True);
    }

    /// <summary>A token is written as its text or as an object with the text as <c>content</c>.</summary>
    private static string? Name(JsonElement root, string property)
    {
        if (!root.TryGetProperty(property, out var value))
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("content", out var content))
        {
            value = content;
        }

        return value.ValueKind == JsonValueKind.String ? value.GetString() : null;
    }
}
