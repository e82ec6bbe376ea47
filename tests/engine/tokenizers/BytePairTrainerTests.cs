namespace SplitFrozen.Tokenizers.Tests;

public sealed class BytePairTrainerTests
{
    // "hug" x 10, "pug" x 5, "pun" x 12, "bun" x 4, "hugs" x 5 is the worked example of the Hugging Face course on BPE:
    // first merges (u,g) 20, (u,n) 16, (h,ug) 15.
    private static readonly string[] s_course =
        [.. Repeat("hug", 10), .. Repeat("pug", 5), .. Repeat("pun", 12), .. Repeat("bun", 4), .. Repeat("hugs", 5)];

    [Fact]
    public void Train_WorkedExample_MergesTheMostFrequentPairsFirst()
    {
        var vocabulary = Train(s_course, 260);

        Assert.Equal([("u", "g"), ("u", "n"), ("h", "ug")], vocabulary.Merges);
        Assert.Equal("ug", vocabulary.Tokens[256]);
        Assert.Equal("hug", vocabulary.Tokens[258]);
        Assert.Equal("<|endoftext|>", vocabulary.Tokens[^1]);
    }

    [Fact]
    public void Train_EqualCounts_TakesTheSmallerIds()
    {
        var vocabulary = Train(["zy", "ab", "zy", "ab", "ba", "ba"], 260);

        Assert.Equal([("a", "b"), ("b", "a"), ("z", "y")], vocabulary.Merges);
    }

    [Fact]
    public void Train_OverlappingRepeats_CountsPairsAsMerged()
    {
        // "aaaaa" holds (a,a) four times; merged left to right it is [aa aa a], whose pairs are (aa,aa) and (aa,a).
        // Twice that line and once "aa": (aa,a) and (aa,aa) tie at 2; a (id 64) is smaller than aa (id 256).
        var vocabulary = Train(["aaaaa", "aaaaa", "aa"], 260);

        Assert.Equal([("a", "a"), ("aa", "a"), ("aa", "aaa")], vocabulary.Merges);
    }

    [Fact]
    public void Train_TextRunsOut_GivesASmallerVocabulary()
    {
        var vocabulary = Train(["ab", "ab"], 4096);

        Assert.Equal(258, vocabulary.Tokens.Count);
    }

    [Fact]
    public void Train_ManyRandomTexts_EqualsTheTextbookAlgorithm()
    {
        var random = new Random(5);
        for (var trial = 0; trial < 20; trial++)
        {
            var lines = Enumerable.Range(0, 40)
                .Select(_ => string.Concat(Enumerable.Range(0, 12).Select(_ => "abc "[random.Next(4)])))
                .ToList();

            Assert.Equal(TextbookTrainer.Merges(lines, 60), Train(lines, 257 + 60).Merges);
        }
    }

    [Fact]
    public void Train_DocumentSeparator_IsNotCounted()
    {
        var vocabulary = Train([.. Repeat("<|endoftext|>", 50), .. Repeat("zq", 3)], 4096);

        Assert.Equal([("z", "q")], vocabulary.Merges);
    }

    [Fact]
    public void Train_TooFewEntries_IsRefused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Train(["a"], 256));

    [Fact]
    public void Write_SameText_GivesTheSameFilesThatOpenAsATokenizer()
    {
        using var first = new TemporaryFolder();
        using var second = new TemporaryFolder();
        Train(s_course, 300).Write(first.Path);
        Train(s_course.Reverse(), 300).Write(second.Path);

        Assert.Equal(
            ["merges.txt", "tokenizer_config.json", "vocab.json"],
            Directory.GetFiles(first.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        foreach (var name in new[] { "vocab.json", "merges.txt", "tokenizer_config.json" })
        {
            Assert.Equal(File.ReadAllBytes(first.File(name)), File.ReadAllBytes(second.File(name)));
        }

        var tokenizer = TokenizerFolder.Open(first.Path);
        Assert.Equal([258], tokenizer.Encode("hug"));
        Assert.Equal(tokenizer.VocabularySize - 1, tokenizer.EndOfTextId);
        Assert.Equal("hug pun \"\\\u0001\t", tokenizer.Decode(tokenizer.Encode("hug pun \"\\\u0001\t")));
    }

    private static BytePairVocabulary Train(IEnumerable<string> lines, int entries)
    {
        var trainer = new BytePairTrainer();
        trainer.Add(lines, TestContext.Current.CancellationToken);
        return trainer.Train(entries, cancellationToken: TestContext.Current.CancellationToken);
    }

    private static IEnumerable<string> Repeat(string text, int count) => Enumerable.Repeat(text, count);
}
