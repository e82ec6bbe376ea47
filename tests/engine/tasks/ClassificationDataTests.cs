using System.Text;
using CsCheck;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tasks.Encoders;
using SplitFrozen.Tasks.Tests.Support;

namespace SplitFrozen.Tasks.Tests;

public sealed class ClassificationDataTests : IDisposable
{
    private readonly DataFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Sst2_WithHeader_GivesTheBytesAndClassesOfEachRow()
    {
        var task = Load("sst2", "tsv", "sentence\tlabel\nab\t1\ncd \"e\t0\n");

        Assert.Equal([[97, 98], [99, 100, 32, 34, 101]], task.Train.Select(s => s.Tokens));
        Assert.Equal([1, 0], task.Train.Select(s => s.Class));
        Assert.Equal([[1], [0]], task.Train.Select(s => s.Labels));
        Assert.Equal([SampleId.Training(0), SampleId.Training(1)], task.Train.Select(s => s.Id));
        Assert.Equal([SampleId.Evaluation(0), SampleId.Evaluation(1)], task.Evaluation.Select(s => s.Id));
        Assert.Equal(["negative", "positive"], task.Task.ClassNames);
        Assert.Equal((TaskKind.Classification, "accuracy", 2), (task.Task.Kind, task.Task.MetricName, task.Task.Classes));
        Assert.All(task.Train, s => Assert.False(s.LabelsPerToken));
    }

    [Fact]
    public void LoadSplit_ClassesNamed_GivesTheSamplesOfLoadFromAnyFile()
    {
        var spec = new TaskSpec { Kind = "classification", Classes = ["b", "a"] };
        var whole = _folder.With("own.csv", "text,label\nx,a\ny,b\n").Load(spec with { Train = "own.csv", Evaluation = "own.csv" });
        var own = TaskData.LoadSplit(spec, Path.Combine(_folder.Path, "own.csv"), evaluation: false, new ByteTokenizer(), 1024);
        Assert.Equal(whole.Train.Select(sample => (sample.Id, sample.Digest, sample.Class)), own.Samples.Select(sample => (sample.Id, sample.Digest, sample.Class)));
        var heldOut = TaskData.LoadSplit(
            spec with { EvaluationLimit = 1 }, Path.Combine(_folder.Path, "own.csv"), evaluation: true, new ByteTokenizer(), 1024);
        Assert.Equal(SampleId.Evaluation(0), Assert.Single(heldOut.Samples).Id);
    }

    [Fact]
    public void LoadSplit_ClassesLeftToTheTrainingFile_IsRefused()
    {
        var file = Path.Combine(_folder.With("own.csv", "text,label\nx,a\n").Path, "own.csv");
        var fault = Assert.Throws<DataException>(
            () => TaskData.LoadSplit(new TaskSpec { Kind = "classification" }, file, evaluation: false, new ByteTokenizer(), 1024));
        Assert.Equal("task.classes", fault.Faults[0].Field);
    }

    [Theory]
    [InlineData("sst2", new[] { "negative", "positive" })]
    [InlineData("gsm8k", new string[0])]
    public void Describe_KindThatFixesItsClasses_ReadsNoFile(string kind, string[] classes) =>
        Assert.Equal(classes, TaskData.Describe(new TaskSpec { Kind = kind, Train = "nowhere.csv" }, _folder.Path, 1024).ClassNames);

    [Fact]
    public void Describe_Classification_TakesTheSpecsClassesElseThoseOfTheFile()
    {
        var spec = new TaskSpec { Kind = "classification", Train = "nowhere.csv", Classes = ["z", "y"] };
        Assert.Equal(["z", "y"], TaskData.Describe(spec, _folder.Path, 1024).ClassNames);
        _folder.With("train.csv", "text,label\nx,b\ny,a\n");
        Assert.Equal(["a", "b"], TaskData.Describe(spec with { Classes = [], Train = "train.csv" }, _folder.Path, 1024).ClassNames);
        Assert.Throws<DataException>(() => TaskData.Describe(spec with { Classes = [] }, _folder.Path, 1024));
        Assert.Throws<DataException>(() => TaskData.Describe(spec with { MaxLength = 1025 }, _folder.Path, 1024));
    }

    [Fact]
    public void Sst2_WithoutHeaderOrFinalNewline_KeepsEveryRow() =>
        Assert.Equal([1, 0], Load("sst2", "tsv", "ab\t1\r\n\r\ncd\t0").Train.Select(s => s.Class));

    [Fact]
    public void Mrpc_QuotesAndByteOrderMark_AreTakenAsTheyStand()
    {
        var task = Load("mrpc", "tsv", "\uFEFFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t3\t4\t\"a\tb\"\"\n");

        Assert.Equal([34, 97, ByteTokenizer.End, 98, 34, 34], Assert.Single(task.Train).Tokens);
        Assert.Equal((1, "f1", 1), (task.Train[0].Class, task.Task.MetricName, task.Task.PositiveClass));
    }

    [Theory]
    [InlineData("jsonl", "{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": \"contradiction\"}")]
    [InlineData("jsonl", "{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": 2, \"extra\": [1]}")]
    [InlineData("tsv", "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tp\th\tneutral\tcontradiction")]
    [InlineData("csv", "premise,hypothesis,label\np,\"h\",contradiction")]
    public void Mnli_AnyForm_GivesTheSameSample(string extension, string content)
    {
        var sample = Assert.Single(Load("mnli", extension, content).Train);
        Assert.Equal(['p', ByteTokenizer.End, 'h'], sample.Tokens);
        Assert.Equal(2, sample.Class);
    }

    [Fact]
    public void Mnli_RowWithoutGoldLabel_IsLeftOutAndCounted()
    {
        var task = Load("mnli", "jsonl", """
            {"premise": "p", "hypothesis": "h", "label": "-"}
            {"premise": "q", "hypothesis": "h", "label": "neutral"}
            """);
        Assert.Equal((1, 1, 2), (task.TrainLeftOut, task.EvaluationLeftOut, task.LeftOut));
        Assert.Equal(SampleId.Training(0), Assert.Single(task.Train).Id);
    }

    [Fact]
    public void Csv_QuotedFieldOverLines_KeepsCommasQuotesAndBreaks()
    {
        var spec = new TaskSpec { Kind = "classification", Classes = ["no", "yes"] };
        var task = Load(spec, "csv", "label,text\nyes,\"a,\"\"b\"\"\nc\"\nno,d\n");
        Assert.Equal(Encoding.UTF8.GetBytes("a,\"b\"\nc").Select(b => (int)b), task.Train[0].Tokens);
        Assert.Equal([1, 0], task.Train.Select(s => s.Class));
    }

    [Fact]
    public void Classification_ClassesNotNamed_TakesTheSortedSetOfTheTrainingFile()
    {
        _folder.With("train.jsonl", """
            {"body": "a", "topic": "sport"}
            {"body": "b", "topic": "art"}
            {"body": "c", "topic": "sport"}
            """).With("dev.jsonl", """{"body": "d", "topic": "art"}""");
        var task = _folder.Load(new TaskSpec
        {
            Kind = "classification", Train = "train.jsonl", Evaluation = "dev.jsonl", TextColumns = ["body"], TargetColumn = "topic",
        });
        Assert.Equal(["art", "sport"], task.Task.ClassNames);
        Assert.Equal([1, 0, 1], task.Train.Select(s => s.Class));
        Assert.Equal([0], task.Evaluation.Select(s => s.Class));
    }

    [Fact]
    public void Classification_NumbersAsLabels_AreOrderedByValue()
    {
        var rows = string.Join('\n', new[] { 10, 2, 1 }.Select(label => $$"""{"text": "t", "label": {{label}}}"""));
        var task = Load(new TaskSpec { Kind = "classification" }, "jsonl", rows);
        Assert.Equal(["1", "2", "10"], task.Task.ClassNames);
        Assert.Equal([2, 1, 0], task.Train.Select(s => s.Class));
    }

    [Fact]
    public void Limits_FirstRows_AreTaken()
    {
        var task = Load(new TaskSpec { Kind = "sst2", TrainLimit = 2, EvaluationLimit = 1 }, "tsv", "sentence\tlabel\na\t1\nb\t0\nc\tbad");
        Assert.Equal((2, 1), (task.Train.Count, task.Evaluation.Count));
    }

    [Theory]
    [InlineData(false, false, new int[] { 'p', '\n', 'h' })]
    [InlineData(true, true, new int[] { ByteTokenizer.Begin, 'p', ByteTokenizer.End, 'h' })]
    public void Pair_ByTokenizer_IsJoinedWithWhatItHas(bool hasEnd, bool hasBegin, int[] expected)
    {
        _folder.With("d.jsonl", """{"premise": "p", "hypothesis": "h", "label": 0}""");
        var task = _folder.Load(new TaskSpec { Kind = "mnli", Train = "d.jsonl", Evaluation = "d.jsonl" }, new ByteTokenizer(hasEnd, hasBegin));
        Assert.Equal(expected, task.Train[0].Tokens);
    }

    [Fact]
    public void LongText_OverMaxLength_IsCutAtTheEnd()
    {
        var single = Load(new TaskSpec { Kind = "sst2", MaxLength = 8 }, "tsv", "abcdefghijkl\t1");
        Assert.Equal("abcdefgh".Select(c => (int)c), single.Train[0].Tokens);

        var pair = Load(new TaskSpec { Kind = "mnli", MaxLength = 8 }, "jsonl", """{"premise": "abcdefghijkl", "hypothesis": "xyz", "label": 0}""");
        Assert.Equal(['a', 'b', 'c', 'd', ByteTokenizer.End, 'x', 'y', 'z'], pair.Train[0].Tokens);
    }

    [Fact]
    public void CutLongerFirst_AnyLengths_EqualsCuttingOneTokenAtATime() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int[2, 50]).Sample((first, second, room) =>
        {
            var (a, b) = (first, second);
            while (a + b > room)
            {
                (a, b) = a > b ? (a - 1, b) : (a, b - 1);
            }

            Assert.Equal((a, b), ClassificationEncoder.CutLongerFirst(first, second, room));
        });

    private LoadedTask Load(string kind, string extension, string content) => Load(new TaskSpec { Kind = kind }, extension, content);

    private LoadedTask Load(TaskSpec spec, string extension, string content)
    {
        var file = $"rows.{extension}";
        return _folder.With(file, content).Load(spec with { Train = file, Evaluation = file });
    }
}
