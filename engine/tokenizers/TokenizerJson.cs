using System.Text.Json;
using System.Text.RegularExpressions;

namespace SplitFrozen.Tokenizers;

/// <summary>
/// Reads Hugging Face's <c>tokenizer.json</c> where it describes a byte-level BPE like GPT-2's or Llama 3's. Whatever would
/// change ids and is not done here is refused by name.
/// </summary>
internal static class TokenizerJson
{
    public const string Name = "tokenizer.json";

    private const string Remedy = "Supported is byte-level BPE without normalizer, as GPT-2 and Llama 3 have it.";

    /// <exception cref="TokenizerFormatException">The file is damaged or describes something that is not supported.</exception>
    public static ByteLevelTokenizer Open(string path, SpecialTokenNames names)
    {
        using var document = JsonFile.Read(path);
        var root = document.RootElement;
        RefuseUnless(path, root.ValueKind == JsonValueKind.Object, "is not a JSON object.");
        CheckNormalizer(path, root);
        var splitter = Splitter(path, Member(root, "pre_tokenizer"));
        var model = Member(root, "model");
        CheckModel(path, model);
        var added = AddedTokens(path, Member(root, "added_tokens"));
        var vocabulary = JsonFile.Vocabulary(path, "model.vocab", Member(model, "vocab"));
        return new ByteLevelVocabulary(path, vocabulary, path, Merges(path, Member(model, "merges"))) { Added = added }
            .Build(
                splitter,
                names.BeginOfText ?? TiktokenRanks.BeginOfText,
                new[] { names.EndOfText, TiktokenRanks.EndOfText, BytePairFiles.EndOfText }.FirstOrDefault(name => name is not null && added.ContainsKey(name)),
                ignoreMerges: Flag(model, "ignore_merges"));
    }

    private static void CheckNormalizer(string path, JsonElement root)
    {
        var normalizer = Member(root, "normalizer");
        var empty = Text(normalizer, "type") == "Sequence"
            && Member(normalizer, "normalizers") is { ValueKind: JsonValueKind.Array } parts
            && parts.GetArrayLength() == 0;
        RefuseUnless(path, IsAbsent(normalizer) || empty, $"normalizer \"{Text(normalizer, "type")}\" changes text before it is cut.");
    }

    private static void CheckModel(string path, JsonElement model)
    {
        var type = Text(model, "type") ?? "BPE";
        RefuseUnless(path, model.ValueKind == JsonValueKind.Object && type == "BPE", $"model.type is \"{type}\", not \"BPE\".");
        RefuseUnless(path, !Flag(model, "byte_fallback"), "model.byte_fallback is set: this is SentencePiece's BPE; use the model's tokenizer.model.");
        var dropout = Member(model, "dropout");
        RefuseUnless(path, IsAbsent(dropout) || (dropout.ValueKind == JsonValueKind.Number && dropout.GetDouble() == 0), "model.dropout makes ids random.");
        foreach (var affix in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            RefuseUnless(path, string.IsNullOrEmpty(Text(model, affix)), $"model.{affix} is set.");
        }
    }

    private static PieceSplitter Splitter(string path, JsonElement preTokenizer)
    {
        var parts = Text(preTokenizer, "type") == "Sequence" && Member(preTokenizer, "pretokenizers") is { ValueKind: JsonValueKind.Array } list
            ? [.. list.EnumerateArray()]
            : new[] { preTokenizer };
        var last = parts.Length > 0 ? parts[^1] : default;
        RefuseUnless(path, Text(last, "type") == "ByteLevel", "pre_tokenizer does not end in ByteLevel.");
        RefuseUnless(path, !Flag(last, "add_prefix_space"), "pre_tokenizer.add_prefix_space is set.");
        var usesGpt2 = !last.TryGetProperty("use_regex", out var useRegex) || useRegex.ValueKind == JsonValueKind.True;
        if (parts.Length == 1)
        {
            RefuseUnless(path, usesGpt2, "pre_tokenizer has neither a Split nor ByteLevel's use_regex, so nothing cuts the text.");
            return PieceSplitter.Gpt2;
        }

        var split = parts[0];
        RefuseUnless(
            path,
            parts.Length == 2 && !usesGpt2 && Text(split, "type") == "Split",
            $"pre_tokenizer is a sequence of {string.Join(", ", parts.Select(part => Text(part, "type")))}, not Split and ByteLevel.");
        var behavior = Text(split, "behavior");
        var inverted = Flag(split, "invert");
        RefuseUnless(
            path,
            (behavior, inverted) is ("Isolated", _) or ("Removed", true),
            $"pre_tokenizer's Split has behavior \"{behavior}\" and invert {(inverted ? "true" : "false")}.");
        return Expression(path, Text(Member(split, "pattern"), "Regex"));
    }

    private static PieceSplitter Expression(string path, string? pattern)
    {
        switch (pattern)
        {
            case null:
                throw Refusal(path, "pre_tokenizer's Split has no pattern.Regex.");
            case PieceSplitter.Gpt2Pattern:
                return PieceSplitter.Gpt2;
            case PieceSplitter.Llama3Pattern:
                return PieceSplitter.Llama3;
        }

        try
        {
            return new PieceSplitter(new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled));
        }
        catch (ArgumentException fault)
        {
            throw Refusal(path, $"pre_tokenizer's expression is not one that .NET reads ({fault.Message}).", fault);
        }
    }

    private static Dictionary<string, int> AddedTokens(string path, JsonElement tokens)
    {
        var added = new Dictionary<string, int>();
        if (IsAbsent(tokens))
        {
            return added;
        }

        RefuseUnless(path, tokens.ValueKind == JsonValueKind.Array, "added_tokens is not a list.");
        foreach (var token in tokens.EnumerateArray())
        {
            var content = Text(token, "content");
            var id = Member(token, "id");
            RefuseUnless(
                path,
                !string.IsNullOrEmpty(content) && id.ValueKind == JsonValueKind.Number && id.TryGetInt32(out var number) && number is >= 0 and <= JsonFile.MaximumId,
                $"added_tokens holds an entry without content and a usable id: {token.GetRawText()}.");
            RefuseUnless(path, Flag(token, "special"), $"added token \"{content}\" is not special, so it would have to be found in text.");
            RefuseUnless(path, added.TryAdd(content!, id.GetInt32()), $"added token \"{content}\" is listed twice.");
        }

        return added;
    }

    private static List<(string Left, string Right)> Merges(string path, JsonElement merges)
    {
        RefuseUnless(path, merges.ValueKind == JsonValueKind.Array, "model.merges is not a list.");
        var result = new List<(string, string)>(merges.GetArrayLength());
        foreach (var merge in merges.EnumerateArray())
        {
            var where = $"model.merges[{result.Count}]";
            if (merge.ValueKind == JsonValueKind.String)
            {
                result.Add(BytePairFiles.SplitMerge(path, where, merge.GetString()!));
                continue;
            }

            RefuseUnless(
                path,
                merge.ValueKind == JsonValueKind.Array && merge.GetArrayLength() == 2 && merge.EnumerateArray().All(half => half.ValueKind == JsonValueKind.String),
                $"{where} is neither \"left right\" nor a pair of strings.");
            result.Add((merge[0].GetString()!, merge[1].GetString()!));
        }

        return result;
    }

    private static JsonElement Member(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value : default;

    private static bool IsAbsent(JsonElement element) => element.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;

    private static bool Flag(JsonElement element, string name) => Member(element, name).ValueKind == JsonValueKind.True;

    private static string? Text(JsonElement element, string name) =>
        Member(element, name) is { ValueKind: JsonValueKind.String } value ? value.GetString() : null;

    private static void RefuseUnless(string path, bool condition, string problem)
    {
        if (!condition)
        {
            throw Refusal(path, problem);
        }
    }

    private static TokenizerFormatException Refusal(string path, string problem, Exception? cause = null) => new(path, problem, Remedy, cause);
}
