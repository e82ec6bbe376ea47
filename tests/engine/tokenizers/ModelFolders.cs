using System.Text.Json.Nodes;

namespace SplitFrozen.Tokenizers.Tests;

/// <summary>Lays out model folders from the shared vocabularies.</summary>
internal static class ModelFolders
{
    public static TemporaryFolder Gpt2()
    {
        var vocabulary = SharedFiles.Require("vocab/gpt2_encoder.json");
        var merges = SharedFiles.Require("vocab/gpt2_vocab.bpe");
        var folder = new TemporaryFolder();
        File.Copy(vocabulary, folder.File("vocab.json"));
        File.Copy(merges, folder.File("merges.txt"));
        return folder;
    }

    public static TemporaryFolder Llama3()
    {
        var model = SharedFiles.Require("vocab/llama3_tokenizer.model");
        var folder = new TemporaryFolder();
        File.Copy(model, folder.File("tokenizer.model"));
        return folder;
    }

    /// <summary>GPT-2 as a tokenizer.json, laid out like the one published beside the model.</summary>
    public static TemporaryFolder Gpt2Json(bool mergesAsPairs)
    {
        using var source = Gpt2();
        var merges = File.ReadAllLines(source.File("merges.txt")).Skip(1).Where(line => line.Length > 0);
        var folder = new TemporaryFolder();
        var root = Json(
            new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true },
            JsonNode.Parse(File.ReadAllText(source.File("vocab.json")))!.AsObject(),
            [.. merges.Select(merge => mergesAsPairs ? (JsonNode)Pair(merge.Split(' ')) : JsonValue.Create(merge))],
            ignoreMerges: false,
            new JsonArray(Added("<|endoftext|>", 50256)));
        folder.Write("tokenizer.json", root.ToJsonString());
        return folder;
    }

    /// <summary>A small tokenizer.json: the bytes, a few merges, and whatever the caller changes.</summary>
    public static TemporaryFolder SmallJson(Action<JsonObject>? change = null, bool ignoreMerges = false)
    {
        using var trained = new TemporaryFolder();
        var trainer = new BytePairTrainer();
        trainer.Add(["hug hugs pug pun bun", "hug hugs pug pun bun"], TestContext.Current.CancellationToken);
        trainer.Train(262, cancellationToken: TestContext.Current.CancellationToken).Write(trained.Path);
        var vocabulary = JsonNode.Parse(File.ReadAllText(trained.File("vocab.json")))!.AsObject();
        vocabulary.Remove("<|endoftext|>");
        var folder = new TemporaryFolder();
        var split = new JsonObject
        {
            ["type"] = "Split",
            ["pattern"] = new JsonObject { ["Regex"] = PublishedLlama3Pattern },
            ["behavior"] = "Isolated",
            ["invert"] = false,
        };
        var byteLevel = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = false };
        var root = Json(
            new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(split, byteLevel) },
            vocabulary,
            [.. File.ReadAllLines(trained.File("merges.txt")).Skip(1).Select(merge => JsonValue.Create(merge))],
            ignoreMerges,
            new JsonArray(Added("<|begin_of_text|>", 261), Added("<|end_of_text|>", 262)));
        change?.Invoke(root);
        folder.Write("tokenizer.json", root.ToJsonString());
        return folder;
    }

    public const string PublishedLlama3Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public static JsonObject Added(string content, int id, bool special = true) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = special,
    };

    private static JsonArray Pair(string[] halves) => new(halves[0], halves[1]);

    private static JsonObject Json(JsonObject preTokenizer, JsonObject vocabulary, JsonNode[] merges, bool ignoreMerges, JsonArray added) => new()
    {
        ["version"] = "1.0",
        ["truncation"] = null,
        ["padding"] = null,
        ["added_tokens"] = added,
        ["normalizer"] = null,
        ["pre_tokenizer"] = preTokenizer,
        ["post_processor"] = new JsonObject { ["type"] = "ByteLevel", ["trim_offsets"] = false },
        ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
        ["model"] = new JsonObject
        {
            ["type"] = "BPE",
            ["dropout"] = null,
            ["unk_token"] = null,
            ["continuing_subword_prefix"] = "",
            ["end_of_word_suffix"] = "",
            ["fuse_unk"] = false,
            ["ignore_merges"] = ignoreMerges,
            ["vocab"] = vocabulary,
            ["merges"] = new JsonArray(merges),
        },
    };
}
