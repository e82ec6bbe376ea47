using SplitFrozen.Comparison.Methods.Tests;

namespace SplitFrozen.Comparison.Study.Tests;

public sealed class ChoiceTests
{
    [Fact]
    public void Choose_BestMetric_ThenSmallerLoss_NeverAFailedOne()
    {
        using var small = new SmallProblem();
        var options = StudyCases.Options with { LearningRates = [0.1, 0.2, 0.3, 0.4] };
        var series = new CellSeries(StudyCases.Task(small), MethodKind.SplitFrozen, StudyCases.Partition("iid"));
        var cells = series.Search(options);

        var choice = series.Choose(
            options,
            [
                StudyCases.Result(cells[0], 0.8, 0.5), StudyCases.Result(cells[1], 0.9, 0.7),
                StudyCases.Result(cells[2], 0.9, 0.6), StudyCases.Result(cells[3], 1, 0, error: "diverged"),
            ]);

        Assert.Equal(0.3, choice.LearningRate);
    }

    [Fact]
    public void Choose_AllFailed_TakesTheLowest()
    {
        using var small = new SmallProblem();
        var series = new CellSeries(StudyCases.Task(small), MethodKind.SplitFrozen, StudyCases.Partition("iid"));
        var cells = series.Search(StudyCases.Options);

        Assert.Equal(0.002, series.Choose(StudyCases.Options, [.. cells.Select(cell => StudyCases.Result(cell, 0, 0, "diverged"))]).LearningRate);
    }

    [Fact]
    public void Search_Slice_IsTheTrainingRowsDividedAgain()
    {
        using var small = new SmallProblem();
        var task = StudyCases.Task(small);

        var (train, measured) = (task.Search.Data.Train, task.Search.Data.Evaluation);

        Assert.Equal((32, 8), (train.Count, measured.Count));
        Assert.Equal(small.Data.Train.Select(sample => sample.Digest.Value).Order(), train.Concat(measured).Select(sample => sample.Digest.Value).Order());
        Assert.Equal(Enumerable.Range(0, 32), train.Select(sample => sample.Id.Row));
        Assert.All(measured, sample => Assert.True(sample.Id.IsEvaluation));
    }

    [Fact]
    public void Spread_OfThreeValues_IsMeanAndSampleDeviation()
    {
        var spread = Spread.Of([1, 2, 6]);

        Assert.Equal(3, spread.Mean);
        Assert.Equal(Math.Sqrt(7), spread.Deviation, 1e-12);
        Assert.Equal(new Spread(5, 0, 1), Spread.Of([5]));
    }
}
