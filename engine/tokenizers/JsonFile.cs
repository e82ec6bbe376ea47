using System.Text.Json;

namespace SplitFrozen.Tokenizers;

/// <summary>Reads JSON files with errors that name the file.</summary>
internal static class JsonFile
{
    public static JsonDocument Read(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            return JsonDocument.Parse(stream);
        }
        catch (JsonException fault)
        {
            throw new TokenizerFormatException(path, $"is not valid JSON ({fault.Message})", "Fetch the file again.", fault);
        }
    }

    /// <summary>A JSON object from token to id, with ids not negative and each used once.</summary>
    public static Dictionary<string, int> Vocabulary(string path, string what, JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw new TokenizerFormatException(path, $"{what} is not an object from token to id.", "Use the file that belongs to the model.");
        }

        var vocabulary = new Dictionary<string, int>();
        var tokenOfId = new Dictionary<int, string>();
        foreach (var entry in element.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetInt32(out var id) || id is < 0 or > MaximumId)
            {
                throw new TokenizerFormatException(
                    path, $"{what} gives \"{entry.Name}\" the id {entry.Value.GetRawText()}.", $"Ids are whole numbers from 0 to {MaximumId}.");
            }

            if (!vocabulary.TryAdd(entry.Name, id) || !tokenOfId.TryAdd(id, entry.Name))
            {
                throw new TokenizerFormatException(
                    path, $"{what} holds \"{entry.Name}\" or its id {id} twice.", "Every token has one id of its own.");
            }
        }

        return vocabulary;
    }

    /// <summary>Beyond any published vocabulary; keeps a damaged id from asking for gigabytes of table.</summary>
    public const int MaximumId = 9_999_999;
}
