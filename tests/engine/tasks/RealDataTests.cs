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

    private static LoadedTask Load(string kind, string train, string evaluation) => TaskData.Load(
        new TaskSpec { Kind = kind, Train = train, Evaluation = evaluation, MaxLength = 8192 },
        SharedData.Folder,
        new ByteTokenizer(),
        8192);
}
