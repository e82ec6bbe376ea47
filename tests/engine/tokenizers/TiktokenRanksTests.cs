using System.Text;

namespace SplitFrozen.Tokenizers.Tests;

public sealed class TiktokenRanksTests
{
    [Fact]
    public void Encode_SmallRanks_TakesWholePiecesThenTheLowestRank()
    {
        // "ab" (256), "bc" (257), "abcd" (258): "abc" is [ab c]; "abcd" is found whole though no merges lead to it.
        var tokenizer = Open([.. Bytes(), Line("ab", 256), Line("bc", 257), Line("abcd", 258)]);

        Assert.Equal([256, 'c'], tokenizer.Encode("abc"));
        Assert.Equal([258], tokenizer.Encode("abcd"));
        Assert.Equal(259 + 256, tokenizer.VocabularySize);
        Assert.Equal(259, tokenizer.BeginOfTextId);
        Assert.Equal(260, tokenizer.EndOfTextId);
    }

    [Fact]
    public void Open_LineThatIsCutShort_NamesIt() => AssertRefused([.. Bytes(), "YWI"], "line 257");

    [Fact]
    public void Open_TokenTwice_NamesTheLine() => AssertRefused([.. Bytes(), Line("a", 256)], "line 257");

    [Fact]
    public void Open_RanksWithAGap_AreRefused() => AssertRefused([.. Bytes(), Line("ab", 999)], "ranks are not 0 to 256");

    [Fact]
    public void Open_MissingByte_IsRefused() => AssertRefused(Bytes().Take(255), "256 bytes");

    [Fact]
    public void Open_GitLfsPointer_SaysHowToGetTheFile() =>
        AssertRefused(["version https://git-lfs.github.com/spec/v1", "oid sha256:00", "size 2183982"], "git lfs pull");

    [Fact]
    public void Open_OtherContent_IsRefused() => AssertRefused(["{\"model\": 1}"], "neither");

    private static IEnumerable<string> Bytes() => Enumerable.Range(0, 256).Select(value => $"{Convert.ToBase64String([(byte)value])} {value}");

    private static string Line(string token, int rank) => $"{Convert.ToBase64String(Encoding.UTF8.GetBytes(token))} {rank}";

    private static void AssertRefused(IEnumerable<string> lines, string expected)
    {
        var fault = Assert.Throws<TokenizerFormatException>(() => Open(lines));
        Assert.Contains("tokenizer.model", fault.Message, StringComparison.Ordinal);
        Assert.Contains(expected, fault.Message, StringComparison.Ordinal);
    }

    private static ITextTokenizer Open(IEnumerable<string> lines)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllLines(folder.File("tokenizer.model"), lines);
        return TokenizerFolder.Open(folder.Path);
    }
}
