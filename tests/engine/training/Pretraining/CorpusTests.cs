using System.IO.Compression;
using System.Text;
using SplitFrozen.Tokenizers;
using SplitFrozen.Training.Pretraining;

namespace SplitFrozen.Training.Tests.Pretraining;

public sealed class CorpusTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Read_Documents_EndAtTheMarkerAndJoinParagraphs()
    {
        var input = new CorpusInput(Text("a.txt", "one\n\ntwo\n<|endoftext|>\n<|endoftext|>\nthree\n"));
        Assert.Equal([["one\ntwo"], ["three"]], CorpusReader.Read(input));
    }

    [Fact]
    public void Read_LongDocument_ComesInPassagesThatLoseNothing()
    {
        var lines = Enumerable.Range(0, 3000).Select(i => $"line {i}").ToArray();
        var document = Assert.Single(CorpusReader.Read(new CorpusInput(Text("a.txt", string.Join('\n', lines)))));
        Assert.True(document.Length > 1);
        Assert.Equal(lines, string.Join('\n', document).Split('\n'));
    }

    [Fact]
    public void Read_Gzip_IsUnpacked()
    {
        var path = _folder.File("a.txt.gz");
        using (var stream = new GZipStream(File.Create(path), CompressionMode.Compress))
        {
            stream.Write("zipped\n"u8);
        }

        Assert.Equal([["zipped"]], CorpusReader.Read(new CorpusInput(path)));
    }

    [Fact]
    public void Read_Tables_GiveTheColumns()
    {
        var tsv = Text("a.tsv", "sentence\tlabel\ngood film\t1\nbad film\t0\n");
        Assert.Equal([["good film"], ["bad film"]], CorpusReader.Read(Table(tsv, "sentence")));
        var jsonl = Text("a.jsonl", "{\"p\":\"x\",\"h\":\"y\"}\n");
        Assert.Equal([["x\ny"]], CorpusReader.Read(Table(jsonl, "p", "h")));
    }

    [Theory]
    [InlineData("a.tsv", "text\nrow", "sentence", "line 1")]
    [InlineData("a.jsonl", "{\"a\":\"x\"}\n[1]", "a", "line 2")]
    [InlineData("a.csv", "a,b", "a", ".jsonl and .tsv")]
    public void Read_BadTable_NamesTheLine(string name, string content, string columns, string expected)
    {
        var path = Text(name, content);
        var exception = Assert.Throws<CorpusException>(() => CorpusReader.Read(Table(path, columns)).ToArray());
        Assert.Contains(path, exception.Message);
        Assert.Contains(expected, exception.Message);
    }

    [Fact]
    public void Read_NotUtf8_SaysSo()
    {
        var path = _folder.File("a.txt");
        File.WriteAllBytes(path, [0x61, 0x0A, 0xFF, 0xFE, 0x0A]);
        Assert.Contains("UTF-8", Assert.Throws<CorpusException>(() => CorpusReader.Read(new CorpusInput(path)).ToArray()).Message);
    }

    [Fact]
    public void Read_MissingFile_NamesIt() =>
        Assert.Contains("absent.txt", Assert.Throws<CorpusException>(() => CorpusReader.Read(new CorpusInput(_folder.File("absent.txt"))).ToArray()).Message);

    [Fact]
    public void Load_Documents_HoldsOutWholeOnesAndEndsEach()
    {
        var path = Text("a.txt", string.Join('\n', Enumerable.Range(1, 20).Select(i => (char)('a' + i))));
        var corpus = TokenCorpus.Load(new CorpusInput(path, 1, CorpusForm.Lines), 0, new LetterTokenizer(), new CorpusBudget(3, long.MaxValue, long.MaxValue, 0.1), TestContext.Current.CancellationToken);
        Assert.Equal(2 * 2, corpus.HeldOut.Length);
        Assert.Equal(18 * 2, corpus.Training.Length);
        Assert.Equal(Enumerable.Range(1, 20), corpus.HeldOut.Concat(corpus.Training).Where(id => id != 0).Order());
        Assert.All(corpus.Training.Where((_, i) => i % 2 == 1), id => Assert.Equal(0, id));
    }

    [Fact]
    public void Sampler_OneRound_PredictsEveryTokenOnce()
    {
        var sampler = new WindowSampler([(Enumerable.Range(0, 81).ToArray(), 1.0)], 8, 1);
        var seen = new List<int>();
        for (var i = 0; i < 9; i++)
        {
            var (tokens, targets) = (new int[8], new int[8]);
            sampler.Next(tokens, targets);
            Assert.Equal(tokens.Select(token => token + 1), targets);
            seen.AddRange(targets);
        }

        Assert.Equal(seen.Count, seen.Distinct().Count());
    }

    [Fact]
    public void Sampler_AfterSkip_GoesOnAsIfNotInterrupted()
    {
        var (straight, resumed) = (Sampler(), Sampler());
        var (expected, actual, targets) = (new int[4], new int[4], new int[4]);
        for (var i = 0; i < 100; i++)
        {
            straight.Next(expected, targets);
        }

        resumed.Skip(99);
        resumed.Next(actual, targets);
        Assert.Equal(expected, actual);

        static WindowSampler Sampler() => new([(Enumerable.Range(0, 50).ToArray(), 3.0), (Enumerable.Range(100, 30).ToArray(), 1.0)], 4, 7);
    }

    [Fact]
    public void Sampler_Weights_SetTheShares()
    {
        var sampler = new WindowSampler([(Enumerable.Range(0, 50).ToArray(), 3.0), (Enumerable.Range(100, 30).ToArray(), 1.0)], 4, 7);
        var (tokens, targets, second) = (new int[4], new int[4], 0);
        for (var i = 0; i < 4000; i++)
        {
            sampler.Next(tokens, targets);
            second += tokens[0] >= 100 ? 1 : 0;
        }

        Assert.InRange(second, 900, 1100);
    }

    private static CorpusInput Table(string path, params string[] columns) => new(path, 1, CorpusForm.Table) { Columns = columns };

    private string Text(string name, string content)
    {
        var path = _folder.File(name);
        File.WriteAllText(path, content, new UTF8Encoding(false));
        return path;
    }

    /// <summary>One id per small letter, from 1 for 'b'; 0 ends a document.</summary>
    private sealed class LetterTokenizer : ITextTokenizer
    {
        public int VocabularySize => 26;

        public int? BeginOfTextId => null;

        public int? EndOfTextId => 0;

        public int[] Encode(string text) => [.. text.Select(letter => letter - 'a')];

        public string Decode(IReadOnlyList<int> ids) => string.Concat(ids.Select(id => (char)('a' + id)));
    }
}
