using SplitFrozen.Training.Optimization;

namespace SplitFrozen.Training.Tests.Optimization;

public sealed class LearningRateScheduleTests
{
    // transformers.get_*_schedule_with_warmup(num_warmup_steps=4, num_training_steps=20), worked out by hand from its formulas.
    [Theory]
    [InlineData("constant", new[] { 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0 })]
    [InlineData("linear", new[] { 0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.0 })]
    [InlineData("cosine", new[] { 0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.0 })]
    public void Schedule_WarmupMiddleAndEnd_FollowsTransformers(string kind, double[] factors)
    {
        var schedule = LearningRateSchedule.Create(kind, 2e-3, 0.2, 20);
        int[] steps = [0, 1, 2, 3, 4, 12, 20];
        for (var i = 0; i < steps.Length; i++)
        {
            Assert.Equal(2e-3 * factors[i], schedule.At(steps[i]), 1e-15);
        }
    }

    [Fact]
    public void Cosine_QuarterOfTheDecay_IsHalfOfOnePlusRootHalf()
    {
        var schedule = LearningRateSchedule.Create("cosine", 1.0, 0.0, 100);
        Assert.Equal(0.5 * (1.0 + Math.Sqrt(0.5)), schedule.At(25), 1e-14);
    }

    [Fact]
    public void Schedule_WithoutWarmup_StartsAtThePeak() =>
        Assert.Equal(1.0, LearningRateSchedule.Create("linear", 1.0, 0.0, 10).At(0));

    [Fact]
    public void Schedule_WarmupShareOfTenPercentOfFifteen_IsRoundedUpToTwoSteps() =>
        Assert.Equal(2, LearningRateSchedule.Create("linear", 1.0, 0.1, 15).WarmupSteps);

    [Fact]
    public void Create_UnknownKind_NamesTheChoices()
    {
        var exception = Assert.Throws<ArgumentException>(() => LearningRateSchedule.Create("polynomial", 1.0, 0.0, 10));
        Assert.Contains("constant, linear or cosine", exception.Message);
    }
}
