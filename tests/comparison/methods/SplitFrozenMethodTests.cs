using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Comparison.Methods.Tests;

public sealed class SplitFrozenMethodTests
{
    [Theory]
    [InlineData(WireType.Float32)]
    [InlineData(WireType.Float16)]
    [InlineData(WireType.Int8)]
    public void Train_OverAnyClients_GivesTheBitsOfPooledTraining(WireType wireType)
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var pooled = Train.Pooled(problem, problem.Spec.Model.Boundary, wireType);

        var store = new ActivationStore(small.Data, wireType);
        Outcomes.AssertSameBits(pooled, Train.SplitFrozen(problem, small.Clients(problem, 25, 1, 14), store));
        Outcomes.AssertSameBits(pooled, Train.SplitFrozen(problem, small.Clients(problem, 40), store));
    }

    [Fact]
    public void Train_LanguageModel_GivesTheBitsOfPooledTraining()
    {
        using var small = new SmallProblem(isLanguageModel: true);
        var problem = small.With();

        Outcomes.AssertSameBits(
            Train.Pooled(problem, 2, WireType.Float16),
            Train.SplitFrozen(problem, small.Clients(problem, 30, 10), new ActivationStore(small.Data, WireType.Float16)));
    }

    [Fact]
    public void Train_LowerCutsOnTheExactWire_GivesTheBitsOfPooledTraining()
    {
        using var small = new SmallProblem();
        var problem = small.With(SmallProblem.Spec with { Clients = SmallProblem.Spec.Clients with { Cuts = [0, 2, 1] } });

        Outcomes.AssertSameBits(
            Train.Pooled(problem, 2),
            Train.SplitFrozen(problem, small.Clients(problem, 15, 15, 10), new ActivationStore(small.Data, WireType.Float32)));
    }

    [Fact]
    public void Work_OfTwoEpochs_IsOnceOnDevicesAndTwiceOnTheServer()
    {
        using var small = new SmallProblem();
        var problem = small.With();
        var clients = small.Clients(problem, 30, 10);

        var outcome = Train.SplitFrozen(problem, clients, new ActivationStore(small.Data, WireType.Float16));

        var tokens = clients.Select(client => client.Samples.Sum(sample => (long)sample.Tokens.Length)).ToArray();
        Assert.Equal(tokens, outcome.Clients.Select(work => work.ForwardTokens));
        Assert.Equal(tokens.Select(count => 2 * count), outcome.Clients.Select(work => work.ForwardBlockTokens));
        Assert.Equal([(tokens[0] * 32) + 120, (tokens[1] * 32) + 40], outcome.Clients.Select(work => work.ActivationBytesSent));
        Assert.All(outcome.Clients, work => Assert.Equal(0, work.BackwardTokens + work.GradientBytesReceived + work.AdapterBytesReceived));
        Assert.Equal(2 * tokens.Sum(), outcome.Server.BackwardTokens);
    }
}
