using System.Text.Json.Nodes;

namespace SplitFrozen.Tokenizers.Tests;

public sealed class TokenizerFolderFaultTests
{
    [Fact]
    public void Open_NoFolder_NamesIt()
    {
        using var folder = new TemporaryFolder();

        AssertRefused(folder.File("absent"), "absent", "no such folder");
    }

    [Fact]
    public void Open_EmptyFolder_SaysWhichFilesToSupply()
    {
        using var folder = new TemporaryFolder();

        AssertRefused(folder.Path, folder.Path, "tokenizer.json, vocab.json with merges.txt, or tokenizer.model");
    }

    [Fact]
    public void Open_VocabularyWithoutMerges_NamesTheMissingFile()
    {
        using var folder = new TemporaryFolder();
        folder.Write("vocab.json", "{}");

        AssertRefused(folder.Path, "merges.txt", "missing");
    }

    [Theory]
    [InlineData("{\"a\": 0", "not valid JSON")]
    [InlineData("[1]", "not an object")]
    [InlineData("{\"a\": -1}", "-1")]
    [InlineData("{\"a\": 1.5}", "1.5")]
    [InlineData("{\"a\": 99999999999}", "99999999999")]
    [InlineData("{\"a\": 2147483647}", "2147483647")]
    [InlineData("{\"a\": 0, \"b\": 0}", "\"b\"")]
    [InlineData("{\"a\": 0, \"a\": 1}", "twice")]
    [InlineData("{\"\\ud800\": 0}", "not Unicode")]
    [InlineData("{\"a\": 0}", "byte 0x21")]
    public void Open_DamagedVocabulary_SaysWhat(string vocabulary, string expected)
    {
        using var folder = new TemporaryFolder();
        folder.Write("vocab.json", vocabulary);
        folder.Write("merges.txt", "#version: 0.2\n");

        AssertRefused(folder.Path, folder.Path, expected);
    }

    [Theory]
    [InlineData("#version: 0.2\nh ug\nhug", "line 3")]
    [InlineData("#version: 0.2\na b c\n", "line 2")]
    [InlineData("#version: 0.2\nq z\n", "\"q z\"")]
    public void Open_MergesThatDoNotFit_NamesThem(string merges, string expected)
    {
        using var folder = new TemporaryFolder();
        var trainer = new BytePairTrainer();
        trainer.Add(Enumerable.Repeat("hug", 9), TestContext.Current.CancellationToken);
        trainer.Train(259, cancellationToken: TestContext.Current.CancellationToken).Write(folder.Path);
        folder.Write("merges.txt", merges);

        AssertRefused(folder.Path, "merges.txt", expected);
    }

    [Theory]
    [InlineData("{\"tokenizer_class\": \"Qwen2Tokenizer\"}", "Qwen2Tokenizer")]
    [InlineData("{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_prefix_space\": true}", "add_prefix_space")]
    [InlineData("[]", "not a JSON object")]
    public void Open_FilesOfAnotherFamily_AreRefused(string configuration, string expected)
    {
        using var folder = new TemporaryFolder();
        folder.Write("vocab.json", "{}");
        folder.Write("merges.txt", string.Empty);
        folder.Write("tokenizer_config.json", configuration);

        AssertRefused(folder.Path, "tokenizer_config.json", expected);
    }

    public static TheoryData<string, string> UnsupportedJson => new()
    {
        { "normalizer={\"type\":\"NFC\"}", "NFC" },
        { "model.type=\"Unigram\"", "Unigram" },
        { "model.byte_fallback=true", "tokenizer.model" },
        { "model.dropout=0.1", "dropout" },
        { "model.end_of_word_suffix=\"</w>\"", "end_of_word_suffix" },
        { "model.continuing_subword_prefix=\"##\"", "continuing_subword_prefix" },
        { "model.vocab=[]", "model.vocab" },
        { "model.merges=\"a b\"", "model.merges" },
        { "model.merges=[[\"a\"]]", "model.merges[0]" },
        { "model.merges=[7]", "model.merges[0]" },
        { "model=null", "model" },
        { "pre_tokenizer=null", "ByteLevel" },
        { "pre_tokenizer={\"type\":\"Whitespace\"}", "ByteLevel" },
        { "pre_tokenizer={\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "add_prefix_space" },
        { "pre_tokenizer={\"type\":\"ByteLevel\",\"use_regex\":false}", "nothing cuts" },
        { "pre_tokenizer={\"type\":\"Sequence\",\"pretokenizers\":[]}", "ByteLevel" },
        { "pre_tokenizer={\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":\"ByteLevel\",\"use_regex\":false}]}", "Digits" },
        { "pre_tokenizer.pretokenizers.0.behavior=\"MergedWithNext\"", "MergedWithNext" },
        { "pre_tokenizer.pretokenizers.0.pattern={\"String\":\" \"}", "pattern.Regex" },
        { "pre_tokenizer.pretokenizers.0.pattern={\"Regex\":\"\\\\p{Han}+\"}", "Han" },
        { "added_tokens=[{\"id\":300,\"content\":\"x\",\"special\":false}]", "\"x\"" },
        { "added_tokens=[{\"id\":-3,\"content\":\"x\",\"special\":true}]", "-3" },
        { "added_tokens=[{\"id\":5,\"content\":\"x!\",\"special\":true}]", "another token" },
        { "added_tokens=7", "added_tokens" },
    };

    [Theory]
    [MemberData(nameof(UnsupportedJson))]
    public void Open_UnsupportedTokenizerJson_SaysWhat(string change, string expected)
    {
        var equals = change.IndexOf('=', StringComparison.Ordinal);
        using var folder = ModelFolders.SmallJson(root => Set(root, change[..equals].Split('.'), JsonNode.Parse(change[(equals + 1)..])));

        AssertRefused(folder.Path, "tokenizer.json", expected);
    }

    [Fact]
    public void Open_TokenizerJsonAsPublished_TakesIt()
    {
        using var folder = ModelFolders.SmallJson();
        var tokenizer = TokenizerFolder.Open(folder.Path);

        Assert.Equal(261, tokenizer.BeginOfTextId);
        Assert.Equal(262, tokenizer.EndOfTextId);
        Assert.Equal("ug", tokenizer.Decode([256]));
    }

    [Fact]
    public void Encode_IgnoreMerges_TakesAPieceThatIsATokenWhole()
    {
        // "bug" is in the vocabulary but no merges lead to it.
        static void AddBug(JsonObject root) => root["model"]!["vocab"]!["bug"] = 263;
        using var merging = ModelFolders.SmallJson(AddBug);
        using var ignoring = ModelFolders.SmallJson(AddBug, ignoreMerges: true);

        Assert.DoesNotContain(263, TokenizerFolder.Open(merging.Path).Encode("bug"));
        Assert.Equal([263], TokenizerFolder.Open(ignoring.Path).Encode("bug"));
    }

    [Fact]
    public void Encode_SplitOfAnotherExpression_CutsByIt()
    {
        // Cut before every letter, nothing can merge; what the expression leaves out is a piece too.
        using var folder = ModelFolders.SmallJson(root =>
            root["pre_tokenizer"]!["pretokenizers"]![0]!["pattern"] = new JsonObject { ["Regex"] = @"\p{L}" });

        Assert.Equal("hug 𝐀!".EnumerateRunes().Sum(rune => rune.Utf8SequenceLength), TokenizerFolder.Open(folder.Path).Encode("hug 𝐀!").Length);
    }

    private static void Set(JsonNode root, string[] path, JsonNode? value)
    {
        var parent = path[..^1].Aggregate(root, (node, name) => int.TryParse(name, out var index) ? node[index]! : node[name]!);
        parent[path[^1]] = value;
    }

    private static void AssertRefused(string folder, string file, string expected)
    {
        var fault = Assert.Throws<TokenizerFormatException>(() => TokenizerFolder.Open(folder));
        Assert.Contains(file, fault.Message, StringComparison.Ordinal);
        Assert.Contains(expected, fault.Message, StringComparison.Ordinal);
    }
}
