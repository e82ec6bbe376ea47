using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using TorchSharp;

namespace SplitFrozen.Comparison.Methods.Tests;

public sealed class SplitLoraTests
{
    private static readonly SplitLoraOptions _everyStep = new() { AveragingInterval = 1 };

    // The joint model clips by the norm of all gradients, a split one by that of each part: without clipping they are the same.
    private static RunSpec WithoutClipping { get; } = SmallProblem.Spec with { Training = SmallProblem.Spec.Training with { MaxGradientNorm = 0 } };

    [Theory]
    [InlineData(false, 0)]
    [InlineData(false, 3)]
    [InlineData(true, 0)]
    public void Train_OneClientAveragedAtEveryStep_IsLoraOverAllBlocks(bool isLanguageModel, int microBatch)
    {
        using var small = new SmallProblem(isLanguageModel);
        var problem = small.With(WithoutClipping with { Training = WithoutClipping.Training with { MicroBatch = microBatch } });
        var joint = Train.Pooled(problem, boundary: 0);

        var split = Train.Split(problem, small.Clients(problem, 40), _everyStep);

        Assert.InRange(Outcomes.LargestDifference(joint.Trained, split.Trained), 0, 1e-5);
        Assert.All(joint.Epochs.Zip(split.Epochs), pair => Assert.Equal(pair.First.Metrics["loss"], pair.Second.Metrics["loss"], 1e-5));
        var untrained = Train.Pooled(problem with { Spec = problem.Spec with { Training = problem.Spec.Training with { LearningRate = 1e-30 } } }, boundary: 0);
        Assert.True(Outcomes.LargestDifference(untrained.Trained, split.Trained) > 0.01);
    }

    [Fact]
    public void Train_Clipping_ClipsEachPartByItsOwnNorm()
    {
        using var small = new SmallProblem();
        var problem = small.With(WithoutClipping with { Training = WithoutClipping.Training with { MaxGradientNorm = 0.05 } });
        var joint = Train.Pooled(problem, boundary: 0);

        var split = Train.Split(problem, small.Clients(problem, 40), _everyStep);

        // AdamW forgives a factor that stays the same, not one that changes from step to step.
        Assert.True(Outcomes.LargestDifference(joint.Trained, split.Trained) > 1e-5);
    }

    [Fact]
    public void Train_Again_GivesTheSameBits()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Lora = SmallProblem.Spec.Lora with { Dropout = 0.2 } });
        var options = SplitLoraOptions.For(WireType.Float16, averagingInterval: 3);

        Outcomes.AssertSameBits(
            Train.Split(problem, small.Clients(problem, 25, 15), options), Train.Split(problem, small.Clients(problem, 25, 15), options));
    }

    [Fact]
    public void Train_TwoClientsNeverAveraged_LeavesTheHeldOutModelTheirAverage()
    {
        // One step each, so the server's part after both is known to neither; the lower part is the average of two single steps.
        using var small = new SmallProblem();
        var problem = small.With(WithoutClipping with { Training = WithoutClipping.Training with { Epochs = 1, BatchSize = 30, Schedule = "constant", WarmupRatio = 0 } });
        var clients = small.Clients(problem, 30, 10);
        var first = Train.Split(problem, [clients[0]], new SplitLoraOptions()).Trained;

        var both = Train.Split(problem, clients, new SplitLoraOptions());

        // AdamW's first step moves A by nothing (B is zero) but by decay, and B by the learning rate in the sign of its gradient.
        var b = both.Trained.Single(tensor => tensor.Name == "h.0.attn.c_attn.lora_B.weight").Values;
        var ofFirst = first.Single(tensor => tensor.Name == "h.0.attn.c_attn.lora_B.weight").Values;
        const double Rate = 0.01;
        Assert.All(ofFirst, value => Assert.InRange(Math.Abs(value), 0.5 * Rate, 1.0001 * Rate));
        Assert.All(b.Zip(ofFirst), pair => Assert.InRange(
            Math.Min(Math.Abs(pair.First - (0.75 * pair.Second) - (0.25 * Rate)), Math.Abs(pair.First - (0.75 * pair.Second) + (0.25 * Rate))), 0, 0.02 * Rate));
        Assert.Equal([1L, 1L], both.Clients.Select(work => work.Steps));
    }

    [Fact]
    public void AveragingInterval_Shorter_TrainsOtherwise()
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var clients = small.Clients(problem, 20, 20);

        var often = Train.Split(problem, clients, new SplitLoraOptions { AveragingInterval = 2 });
        var never = Train.Split(problem, clients, new SplitLoraOptions { AveragingInterval = 1000 });

        Assert.True(Outcomes.LargestDifference(often.Trained, never.Trained) > 1e-4);
        Assert.All(never.Clients, work => Assert.Equal(0, work.AdapterBytesSent));
        const long Adapters = 4 * 2 * ((2 * (16 + 48)) + (2 * (16 + 16)) + (2 * (32 + 16)));
        Assert.All(often.Clients, work => Assert.Equal((6 * Adapters, 6 * Adapters), (work.AdapterBytesSent, work.AdapterBytesReceived)));
    }

    [Fact]
    public void Work_OfTwoEpochs_CountsActivationsUpAndGradientsDown()
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var clients = small.Clients(problem, 30, 10);

        var outcome = Train.Split(problem, clients, SplitLoraOptions.For(WireType.Float16, 100));

        var tokens = clients.Select(client => 2 * client.Samples.Sum(sample => (long)sample.Tokens.Length)).ToArray();
        Assert.Equal(tokens, outcome.Clients.Select(work => work.ForwardTokens));
        Assert.Equal(tokens, outcome.Clients.Select(work => work.BackwardTokens));
        Assert.Equal([(tokens[0] * 32) + 240, (tokens[1] * 32) + 80], outcome.Clients.Select(work => work.ActivationBytesSent));
        Assert.Equal(tokens.Select(count => 32 * count), outcome.Clients.Select(work => work.GradientBytesReceived));
        Assert.Equal((tokens.Sum(), 12L), (outcome.Server.BackwardTokens, outcome.Server.Steps));
    }

    [Fact]
    public void Train_AbsurdLearningRate_NamesTheClient()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Training = SmallProblem.Spec.Training with { LearningRate = 1e38 } });

        var error = Assert.Throws<MethodException>(() => Train.Split(problem, small.Clients(problem, 20, 20), _everyStep));

        Assert.StartsWith("SplitLoRA, epoch 1, client ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Train_WhenOver_LeavesNoTensorBehind()
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var clients = small.Clients(problem, 20, 20);
        _ = Train.Split(problem, clients, _everyStep);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;

        _ = Train.Split(problem, clients, _everyStep);
        _ = Train.Federated(problem, clients, new FedLoraOptions { Aggregation = AdapterAggregation.Stacking });
        _ = Train.Pooled(problem, 2, WireType.Float16);
        _ = Train.SplitFrozen(problem, clients, new ActivationStore(small.Data, WireType.Int8));

        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }
}
