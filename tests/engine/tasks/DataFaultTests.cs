using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Tasks.Tests.Support;

namespace SplitFrozen.Tasks.Tests;

public sealed class DataFaultTests : IDisposable
{
    private readonly DataFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("sst2", "tsv", "sentence\tlabel\na\t1\nb\t2\n", 3, "label", "found the label '2'; expected negative (0), positive (1)")]
    [InlineData("sst2", "tsv", "sentence\tlabel\na\t-1\n", 2, "label", "'-1'")]
    [InlineData("sst2", "tsv", "sentence\tlabel\n\n\na\tgood\n", 4, "label", "'good'")]
    [InlineData("sst2", "tsv", "sentence\tlabel\n  \t1\n", 2, "sentence", "empty")]
    [InlineData("sst2", "tsv", "sentence\tlabel\na\t\n", 2, "label", "empty")]
    [InlineData("sst2", "tsv", "sentence\tlabel\na\tb\t1\n", 2, null, "found 3 fields; expected 2 (sentence, label)")]
    [InlineData("sst2", "tsv", "text\tlabel\na\t1\n", 1, null, "found the columns text, label; expected sentence, label")]
    [InlineData("sst2", "tsv", "", null, null, "no rows")]
    [InlineData("sst2", "tsv", "sentence\tlabel\n", null, null, "no rows")]
    [InlineData("sst2", "csv", "", null, null, "no rows")]
    [InlineData("sst2", "parquet", "x", null, null, ".tsv, .csv or .jsonl")]
    [InlineData("mrpc", "tsv", "Quality\t#1 String\t#2 String\n1\ta\t \n", 2, "#2 String", "empty")]
    [InlineData("mnli", "jsonl", "{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": 3}", 1, "label", "entailment (0), neutral (1), contradiction (2)")]
    [InlineData("mnli", "jsonl", "{\"premise\": \"p\", \"hypothesis\": null, \"label\": 1}", 1, "hypothesis", "missing")]
    [InlineData("mnli", "jsonl", "{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": \"-\"}", null, null, "gold label")]
    [InlineData("mnli", "jsonl", "\n[1]\n", 2, null, "expected one object")]
    [InlineData("mnli", "jsonl", "{\"premise\": \n", 1, null, "not JSON")]
    [InlineData("mnli", "jsonl", "{\"premise\": \"\\ud800\", \"hypothesis\": \"h\", \"label\": 1}", 1, null, "not valid Unicode")]
    [InlineData("gsm8k", "jsonl", "{\"question\": \"q\", \"answer\": \"42\"}", 1, "answer", "####")]
    [InlineData("gsm8k", "jsonl", "{\"question\": \"q\"}", 1, "answer", "missing")]
    [InlineData("classification", "csv", "text,label\n\"a\"b,1\n", 2, null, "closing quote")]
    [InlineData("classification", "csv", "text,label\n\"a\nb\",x\n\"\",y\n", 4, "text", "empty")]
    [InlineData("classification", "csv", "text,label\na,x\n\"b,y\n", 3, null, "never closed")]
    [InlineData("classification", "csv", "text,label\na,x\nb\n", 3, null, "found 1 fields; expected 2")]
    [InlineData("classification", "csv", "body,label\na,x\nb,y\n", 1, null, "expected text, label")]
    [InlineData("classification", "csv", "text,label\na,x\nb,x\n", null, "label", "every row has the label 'x'")]
    [InlineData("instruction", "jsonl", "{\"text\": \" \", \"answer\": \"b\"}", 1, null, "the prompt is empty")]
    [InlineData("poetry", "jsonl", "{}", null, "task.kind", "expected one of sst2, mrpc")]
    public void Load_FaultyFile_NamesFileLineAndField(string kind, string extension, string content, int? line, string? field, string what)
    {
        var refusal = _folder.Refuse(kind, extension, content);

        var fault = refusal.Faults[0];
        Assert.Equal((line, field), (fault.Line, fault.Field));
        Assert.Contains(what, refusal.Message, StringComparison.Ordinal);
        Assert.Contains(kind == "poetry" ? "run spec" : $"data.{extension}", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_ManyFaults_ListsTenAndCountsAll()
    {
        var refusal = _folder.Refuse("sst2", "tsv", "sentence\tlabel\n" + string.Concat(Enumerable.Repeat("a\t7\n", 25)));
        Assert.Equal((10, 25), (refusal.Faults.Count, refusal.FaultCount));
        Assert.Contains("25 faults, the first 10:", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(11, refusal.Message.Split('\n').Length);
        Assert.Contains("line 11, field 'label'", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("line 12", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_TwoFaultsInOneRow_ReportsBoth()
    {
        var refusal = _folder.Refuse("mnli", "jsonl", """{"premise": " ", "hypothesis": "", "label": 1}""");
        Assert.Equal(["premise", "hypothesis"], refusal.Faults.Select(f => f.Field));
    }

    [Fact]
    public void Load_ClassOnlyInTheEvaluationFile_NamesIt()
    {
        _folder.With("train.csv", "text,label\na,x\nb,y\n").With("dev.csv", "text,label\na,z\n");
        var refusal = Assert.Throws<DataException>(
            () => _folder.Load(new TaskSpec { Kind = "classification", Train = "train.csv", Evaluation = "dev.csv" }));
        Assert.EndsWith("dev.csv", refusal.File, StringComparison.Ordinal);
        Assert.Contains("line 2, field 'label': found the label 'z'; expected x (0), y (1)", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tsv", "sentence\tlabel\n\xFF\t1\n", 2)]
    [InlineData("csv", "sentence,label\n\xFF,1\n", 2)]
    [InlineData("jsonl", "\n{\"sentence\": \"\xFF\", \"label\": 1}\n", 2)]
    public void Load_BadUtf8_NamesTheLine(string extension, string latin1, int line)
    {
        var file = $"bad.{extension}";
        _folder.With(file, System.Text.Encoding.Latin1.GetBytes(latin1));
        var refusal = Assert.Throws<DataException>(() => _folder.Load(new TaskSpec { Kind = "sst2", Train = file, Evaluation = file }));
        Assert.Equal(line, Assert.Single(refusal.Faults).Line);
    }

    [Fact]
    public void Load_MissingFile_SaysSo()
    {
        var refusal = Assert.Throws<DataException>(() => _folder.Load(new TaskSpec { Kind = "sst2", Train = "none.tsv", Evaluation = "none.tsv" }));
        Assert.Contains("none.tsv: the file does not exist", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_FolderInPlaceOfAFile_SaysSo()
    {
        Directory.CreateDirectory(Path.Combine(_folder.Path, "folder.tsv"));
        Assert.Throws<DataException>(() => _folder.Load(new TaskSpec { Kind = "sst2", Train = "folder.tsv", Evaluation = "folder.tsv" }));
    }

    [Fact]
    public void Load_EverySampleTooLong_SaysWhatToRaise()
    {
        var refusal = _folder.Refuse(new TaskSpec { Kind = "instruction", MaxLength = 8 }, "jsonl", """{"text": "abcdefghijk", "answer": "b"}""");
        Assert.Contains("none of the 1 rows fits in 8 tokens; raise task.max_length", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(1025)]
    public void Load_MaxLengthOutOfRange_NamesTheField(int length)
    {
        var refusal = _folder.Refuse(new TaskSpec { Kind = "sst2", MaxLength = length }, "tsv", "a\t1");
        Assert.Equal("task.max_length", refusal.Faults[0].Field);
    }

    [Fact]
    public void Load_MalformedTemplate_NamesTheField()
    {
        var refusal = _folder.Refuse(new TaskSpec { Kind = "instruction", PromptTemplate = "a {text" }, "jsonl", "{}");
        Assert.Equal("task.prompt_template", refusal.Faults[0].Field);
        Assert.Contains("character 3", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_LineLongerThanTheBuffer_IsReadWhole()
    {
        var text = new string('x', 300_000);
        _folder.With("long.tsv", $"{text}\t1\nb\t0\n");
        var task = _folder.Load(new TaskSpec { Kind = "sst2", Train = "long.tsv", Evaluation = "long.tsv", MaxLength = 400_000 }, positions: 400_000);
        Assert.Equal([300_000, 1], task.Train.Select(s => s.Tokens.Length));
    }
}
