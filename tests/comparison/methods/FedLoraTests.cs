using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Comparison.Methods.Tests;

public sealed class FedLoraTests
{
    private static readonly FedLoraOptions _oneRound = new() { LocalEpochs = 2 };

    [Fact]
    public void Train_OneClientOneRound_GivesTheBitsOfLocalTraining()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Lora = SmallProblem.Spec.Lora with { Dropout = 0.2 } });
        var local = Train.Pooled(problem, boundary: 0);

        var federated = Train.Federated(problem, small.Clients(problem, 40), _oneRound);

        Assert.Equal(0.0, Outcomes.LargestDifference(local.Trained, federated.Trained));
        Assert.Equal(local.Epochs[^1].Metrics, federated.Epochs[^1].Metrics);
    }

    [Theory]
    [InlineData(AdapterAggregation.Average)]
    [InlineData(AdapterAggregation.Stacking)]
    public void Train_Again_GivesTheSameBits(AdapterAggregation aggregation)
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var options = new FedLoraOptions { Aggregation = aggregation };

        Outcomes.AssertSameBits(
            Train.Federated(problem, small.Clients(problem, 25, 15), options), Train.Federated(problem, small.Clients(problem, 25, 15), options));
    }

    [Fact]
    public void Train_TwoClientsOneRound_IsTheWeightedAverageOfEachAlone()
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var clients = small.Clients(problem, 30, 10);
        var alone = clients.Select(client => Train.Federated(problem, [client with { Index = 0 }], _oneRound).Trained).ToArray();

        var together = Train.Federated(problem, clients, _oneRound).Trained;

        var byHand = alone[0].Zip(alone[1], (first, second) => first with { Values = [.. first.Values.Zip(second.Values, (x, y) => (float)((0.75 * x) + (0.25 * y)))] });
        Assert.InRange(Outcomes.LargestDifference([.. byHand], together), 0, 1e-7);
        Assert.True(Outcomes.LargestDifference(alone[0], together) > 1e-4);
    }

    [Fact]
    public void Stacking_OneClient_PredictsAsTheAverageDoes()
    {
        // With one client the product is its own average: base plus merged product is base plus adapter.
        using var small = new SmallProblem();
        var problem = small.With();
        var clients = small.Clients(problem, 40);
        var averaged = Train.Federated(problem, clients, _oneRound);

        var stacked = Train.Federated(problem, clients, _oneRound with { Aggregation = AdapterAggregation.Stacking });

        Assert.Equal(averaged.Epochs[^1].Metrics["loss"], stacked.Epochs[^1].Metrics["loss"], 1e-5);
        Assert.NotEqual(averaged.Epochs[0].Metrics["loss"], stacked.Epochs[^1].Metrics["loss"], 1e-3);
        Assert.All(stacked.Trained.Where(tensor => tensor.Name.EndsWith("lora_B.weight", StringComparison.Ordinal)), tensor => Assert.All(tensor.Values, value => Assert.Equal(0f, value)));
    }

    [Fact]
    public void Stacking_TwoClients_PredictsOtherwiseThanTheAverage()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Training = SmallProblem.Spec.Training with { LearningRate = 0.05 } });
        var clients = small.Clients(problem, 20, 20);
        var averaged = Train.Federated(problem, clients, _oneRound);

        var stacked = Train.Federated(problem, clients, _oneRound with { Aggregation = AdapterAggregation.Stacking });

        Assert.NotEqual(averaged.Epochs[^1].Metrics["loss"], stacked.Epochs[^1].Metrics["loss"], 1e-4);
    }

    [Fact]
    public void Work_OfTwoRounds_CountsAdaptersAndHeadBothWays()
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var clients = small.Clients(problem, 30, 10);

        var averaged = Train.Federated(problem, clients, new FedLoraOptions());
        var stacked = Train.Federated(problem, clients, new FedLoraOptions { Aggregation = AdapterAggregation.Stacking });

        const long Head = 3 * 16;
        const long Adapters = 4 * ((2 * (16 + 48)) + (2 * (16 + 16)) + (2 * (32 + 16)));
        Assert.All(averaged.Clients, work => Assert.Equal((2 * 4 * (Head + Adapters), 2 * 4 * (Head + Adapters)), (work.AdapterBytesSent, work.AdapterBytesReceived)));
        Assert.All(stacked.Clients, work => Assert.Equal((2 * 4 * (Head + Adapters), 2 * 4 * (Head + (2 * Adapters))), (work.AdapterBytesSent, work.AdapterBytesReceived)));
        Assert.Equal([8L, 4L], averaged.Clients.Select(work => work.Steps));
    }

    [Fact]
    public void Train_AbsurdLearningRate_NamesRoundAndClient()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Training = SmallProblem.Spec.Training with { LearningRate = 1e38 } });

        var error = Assert.Throws<MethodException>(() => Train.Federated(problem, small.Clients(problem, 39, 1), new FedLoraOptions()));

        Assert.StartsWith("FedLoRA, round 1, client 0: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Train_LocalEpochsThatDoNotDivide_AreRefused()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Training = new TrainingSpec { Epochs = 3 } });

        Assert.Contains("3 epochs", Assert.Throws<ArgumentException>(() => Train.Federated(problem, small.Clients(problem, 40), _oneRound)).Message, StringComparison.Ordinal);
    }
}
