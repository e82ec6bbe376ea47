using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Comparison.Methods.Tests;

public sealed class CentralisedTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Train_SomeEpochs_LearnsTheTask(int boundary)
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Training = SmallProblem.Spec.Training with { Epochs = 12, LearningRate = 0.02 } });

        var outcome = Train.Pooled(problem, boundary);

        Assert.Equal(Enumerable.Range(0, 13), outcome.Epochs.Select(epoch => epoch.Epoch));
        Assert.True(outcome.Epochs[^1].TrainingLoss < 0.8 * outcome.Epochs[1].TrainingLoss, $"{outcome.Epochs[1].TrainingLoss} → {outcome.Epochs[^1].TrainingLoss}");
    }

    [Fact]
    public void Train_Again_GivesTheSameBits()
    {
        using var small = new SmallProblem();
        Outcomes.AssertSameBits(Train.Pooled(small.With(), 2, WireType.Float16), Train.Pooled(small.With(), 2, WireType.Float16));
    }

    [Fact]
    public void Train_AbsurdLearningRate_SaysWhereItDiverged()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Training = SmallProblem.Spec.Training with { LearningRate = 1e38 } });

        var error = Assert.Throws<MethodException>(() => Train.Pooled(problem, 0));

        Assert.StartsWith("Centralised LoRA, epoch 1: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("not finite at step", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Work_OfTwoEpochs_IsEveryTokenTwice()
    {
        using var small = new SmallProblem();
        var tokens = small.Data.Train.Sum(sample => sample.Tokens.Length);

        var server = Train.Pooled(small.With(), 2, WireType.Float32).Server;

        Assert.Equal((2L * tokens, 2L * tokens, 8L * tokens, 10L), (server.ForwardTokens, server.BackwardTokens, server.ForwardBlockTokens, server.Steps));
    }
}
