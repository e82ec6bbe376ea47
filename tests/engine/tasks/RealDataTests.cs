using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Tasks.Tests.Support;

namespace SplitFrozen.Tasks.Tests;

/// <summary>Rows and classes of the real files, counted independently with line tools.</summary>
public sealed class RealDataTests
{
    [Theory]
    [InlineData("sst2", "sst2/glue_train.tsv", 67_349, "sst2/glue_dev.tsv", 872)]
    [InlineData("sst2", "sst2/sentence_train.tsv", 6_920, "sst2/sentence_dev.tsv", 872)]
    [InlineData("mrpc", "mrpc/glue_train.tsv", 3_668, "mrpc/glue_dev.tsv", 408)]
    [InlineData("mnli", "mnli/train_subset.jsonl", 23_074, "mnli/dev_matched.jsonl", 4_908)]
    [InlineData("gsm8k", "gsm8k/train.jsonl", 7_473, "gsm8k/test.jsonl", 660)]
    public void RealFile_Loaded_HasEveryRow(string kind, string train, int trainRows, string evaluation, int evaluationRows)
    {
        var task = Load(kind, train, evaluation);

        Assert.Equal((trainRows, evaluationRows, 0), (task.Train.Count, task.Evaluation.Count, task.LeftOut));
        Assert.All(task.Train, s => Assert.NotEmpty(s.Tokens));
    }

    [Theory]
    [InlineData("sst2", "sst2/glue_train.tsv", new[] { 29_780, 37_569 })]
    [InlineData("mrpc", "mrpc/glue_train.tsv", new[] { 1_194, 2_474 })]
    [InlineData("mnli", "mnli/train_subset.jsonl", new[] { 7_640, 7_758, 7_676 })]
    public void RealFile_Loaded_HasTheClassesInOrder(string kind, string file, int[] rowsPerClass)
    {
        var task = Load(kind, file, file);
        Assert.Equal(rowsPerClass, Enumerable.Range(0, task.Task.Classes).Select(c => task.Train.Count(s => s.Class == c)));
    }

    [Fact]
    public void Mnli_Pairs_HoldEveryByteOfBothTextsAndASeparator() =>
        Assert.Equal(4_012_481, Load("mnli", "mnli/train_subset.jsonl", "mnli/dev_matched.jsonl").Train.Sum(s => s.Tokens.Length));

    [Theory]
    [InlineData("gsm8k/train.jsonl", 7_473, 403_114_874)]
    [InlineData("gsm8k/test.jsonl", 660, 2_724_862)]
    public void Gsm8k_References_HaveTheSumOfAllNumbers(string file, int rows, int sum)
    {
        var task = Load("gsm8k", file, file);
        Assert.Equal((rows, (decimal)sum), (task.GenerationExamples.Count, task.GenerationExamples.Sum(e => e.Number)));
    }

    [Fact]
    public void Gsm8k_ShortMaxLength_LeavesOutTheRowsCountedApart()
    {
        var task = TaskData.Load(
            new TaskSpec { Kind = "gsm8k", Train = "gsm8k/train.jsonl", Evaluation = "gsm8k/test.jsonl", MaxLength = 512 },
            SharedData.Folder,
            new ByteTokenizer(),
            512);
        Assert.Equal((3_605, 359), (task.TrainLeftOut, task.EvaluationLeftOut));
    }

    private static LoadedTask Load(string kind, string train, string evaluation) => TaskData.Load(
        new TaskSpec { Kind = kind, Train = train, Evaluation = evaluation, MaxLength = 8192, GenerateSamples = int.MaxValue },
        SharedData.Folder,
        new ByteTokenizer(),
        8192);
}
