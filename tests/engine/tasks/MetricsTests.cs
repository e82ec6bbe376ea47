using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Tasks.Metrics;
using SplitFrozen.Tasks.Tests.Support;

namespace SplitFrozen.Tasks.Tests;

public sealed class MetricsTests
{
    [Fact]
    public void Classification_ThreeClasses_AgreesWithHandComputation()
    {
        // Rows are the truth, columns the prediction: 5 1 0 / 2 3 1 / 0 2 6.
        var metrics = Filled([[5, 1, 0], [2, 3, 1], [0, 2, 6]]);

        Assert.Equal(20, metrics.Samples);
        Assert.Equal(0.7, metrics.Accuracy, 12);
        Assert.Equal(10.0 / 13, metrics.F1(0), 12);
        Assert.Equal(0.5, metrics.F1(1), 12);
        Assert.Equal(0.8, metrics.F1(2), 12);
        Assert.Equal(((10.0 / 13) + 0.5 + 0.8) / 3, metrics.MacroF1, 12);
    }

    [Fact]
    public void F1_ClassNeitherSeenNorPredicted_IsZeroAndOutsideTheMacroMean()
    {
        var metrics = Filled([[3, 1, 0], [0, 4, 0], [0, 0, 0]]);
        Assert.Equal(0, metrics.F1(2));
        Assert.Equal(((6.0 / 7) + (8.0 / 9)) / 2, metrics.MacroF1, 12);
    }

    [Fact]
    public void Classification_BeforeAnyPrediction_IsZeroWithoutLoss()
    {
        var metrics = new ClassificationMetrics(2);
        Assert.Equal((0.0, 0.0), (metrics.Accuracy, metrics.MacroF1));
        Assert.True(double.IsNaN(metrics.Loss));
    }

    [Fact]
    public void MajorityOnMrpc_RealDevSet_HasThePublishedBaseline()
    {
        // GLUE (arXiv 1804.07461) reports 68.4 accuracy and 81.2 F1 for always answering "equivalent".
        var task = TaskData.Load(
            new TaskSpec { Kind = TaskKinds.Mrpc, Train = "mrpc/glue_dev.tsv", Evaluation = "mrpc/glue_dev.tsv" },
            SharedData.Folder,
            new ByteTokenizer(),
            1024);
        var metrics = new ClassificationMetrics(2);
        foreach (var sample in task.Evaluation)
        {
            metrics.Add(1, sample.Class);
        }

        Assert.Equal(0.684, metrics.Accuracy, 3);
        Assert.Equal(0.812, metrics.Headline(task.Task), 3);
    }

    [Fact]
    public void AddBatch_BatchesOfUnequalSize_WeighsTheLossBySamples()
    {
        var metrics = new ClassificationMetrics(2);
        metrics.AddBatch([0, 1, 1], [0, 1, 0], 1.0);
        metrics.AddBatch([1], [0], 5.0);
        Assert.Equal(2.0, metrics.Loss, 12);
        Assert.Equal(0.5, metrics.Accuracy, 12);
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(0, 2)]
    [InlineData(-1, 0)]
    public void Add_ClassOutOfRange_Throws(int predicted, int actual) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new ClassificationMetrics(2).Add(predicted, actual));

    [Fact]
    public void LanguageModel_TwoBatches_AgreesWithHandComputation()
    {
        var metrics = new LanguageModelMetrics();
        metrics.AddBatch(2.0, 30, 12);
        metrics.AddBatch(4.0, 10, 1);
        metrics.AddBatch(double.NaN, 0, 0);
        Assert.Equal(2.5, metrics.Loss, 12);
        Assert.Equal(Math.Exp(2.5), metrics.Perplexity, 9);
        Assert.Equal(13.0 / 40, metrics.TokenAccuracy, 12);
        Assert.Null(metrics.ExactMatch);
    }

    [Fact]
    public void ExactMatch_OneOfFour_IsAQuarter()
    {
        var metrics = new LanguageModelMetrics();
        var example = new GenerationExample(1, "", [1], "#### 1,200", 1200);
        Assert.True(metrics.AddAnswer("so\n#### 1200.00 dollars", example));
        Assert.False(metrics.AddAnswer("#### 12", example));
        Assert.False(metrics.AddAnswer("the answer is 1200", example));
        Assert.False(metrics.AddAnswer("", example));
        Assert.Equal(0.25, metrics.ExactMatch);
    }

    [Theory]
    [InlineData("x\n#### 72", "72")]
    [InlineData("#### 1,234,567", "1234567")]
    [InlineData("#### -3", "-3")]
    [InlineData("#### \u22123", "-3")]
    [InlineData("#### +3", "3")]
    [InlineData("#### 3.50", "3.50")]
    [InlineData("#### .5", "0.5")]
    [InlineData("#### $18", "18")]
    [InlineData("#### $-18", "-18")]
    [InlineData("#### -$18.25", "-18.25")]
    [InlineData("####72", "72")]
    [InlineData("#### 72.", "72")]
    [InlineData("#### 72 apples and 3 pears", "72")]
    [InlineData("#### 5\nQuestion: next? #### 6", "5")]
    [InlineData("#### 50%", "50")]
    [InlineData("48/2 = <<48/2=24>>24\n#### 24<|endoftext|>", "24")]
    [InlineData("the answer is 72", null)]
    [InlineData("####", null)]
    [InlineData("#### about 5", null)]
    [InlineData("#### what? #### 6", null)]
    [InlineData("### 5", null)]
    [InlineData("#### -", null)]
    [InlineData("#### 99999999999999999999999999999999999", null)]
    [InlineData("", null)]
    public void Extract_AnswerText_GivesTheNumberAfterTheMark(string answer, string? expected) =>
        Assert.Equal(expected is null ? null : decimal.Parse(expected), Gsm8kAnswer.Extract(answer));

    [Theory]
    [InlineData("#### 1,000", "#### 1000.0", true)]
    [InlineData("#### 18", "#### $18", true)]
    [InlineData("#### 18", "#### -18", false)]
    [InlineData("18", "#### 18", false)]
    [InlineData("#### 18", "18", false)]
    [InlineData("18", "18", false)]
    public void Matches_TwoAnswers_ComparesByValue(string answer, string reference, bool expected) =>
        Assert.Equal(expected, Gsm8kAnswer.Matches(answer, reference));

    private static ClassificationMetrics Filled(int[][] confusion)
    {
        var metrics = new ClassificationMetrics(confusion.Length);
        for (var actual = 0; actual < confusion.Length; actual++)
        {
            for (var predicted = 0; predicted < confusion.Length; predicted++)
            {
                for (var n = 0; n < confusion[actual][predicted]; n++)
                {
                    metrics.Add(predicted, actual);
                }
            }
        }

        return metrics;
    }
}
