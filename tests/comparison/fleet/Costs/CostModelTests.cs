using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Tests.Costs;

public sealed class CostModelTests
{
    [Fact]
    public void Cost_SplitFrozen_IsFrozenForwardEveryEpochAndOnceWithTheCache()
    {
        var workload = Workloads.Classification(Workloads.SampleModel, boundary: 2, epochs: 5);
        var model = new CostModel(workload);
        var once = workload.Clients.Sum(client => FrozenEncoder.ForwardFlops(workload.Model, 2, client.Select(size => size.Tokens)));
        var (paper, cached, again) = (
            model.Cost(FineTuningMethod.SplitFrozen), model.Cost(FineTuningMethod.SplitFrozenCached), model.Cost(FineTuningMethod.SplitFrozenCached, warmCache: true));

        Assert.Equal((5 * once, once, 0L), (paper.DeviceFlops, cached.DeviceFlops, again.DeviceFlops));
        Assert.Equal((cached.UpBytes * 5, 0L), (paper.UpBytes, again.UpBytes));
        Assert.All([paper, cached, again], cost => Assert.Equal(0, cost.DownBytes));
        Assert.Equal(paper.ServerFlops, cached.ServerFlops);
    }

    [Fact]
    public void Cost_LowerCuts_MoveWorkFromDeviceToServer()
    {
        var workload = Workloads.Classification(Workloads.SampleModel, boundary: 3, clients: 2);
        var even = new CostModel(workload).Cost(FineTuningMethod.SplitFrozen);
        var uneven = new CostModel(workload with { Cuts = [3, 1] }).Cost(FineTuningMethod.SplitFrozen);
        Assert.Equal(even.DeviceFlops + even.ServerFlops, uneven.DeviceFlops + uneven.ServerFlops);
        Assert.Equal(even.Clients[1].Flops, 3 * uneven.Clients[1].Flops);
    }

    [Fact]
    public void Cost_OfTheSplitMethods_AddsUpToTraining()
    {
        // The forward of all blocks is done somewhere, whichever way the model is cut.
        var workload = Workloads.Classification(Workloads.SampleModel, boundary: 2);
        var model = new CostModel(workload);
        var whole = model.Cost(FineTuningMethod.FedLora);
        var split = model.Cost(FineTuningMethod.SplitLora);
        var atServer = workload.Clients.SelectMany((samples, client) => samples.Select(sample => model.ServerStep(FineTuningMethod.SplitLora, client, sample))).ToArray();
        Assert.Equal(whole.DeviceFlops, split.DeviceFlops + split.ServerFlops);
        Assert.Equal(whole.Clients.Sum(client => client.ForwardFlops), split.Clients.Sum(client => client.ForwardFlops) + atServer.Sum(pass => pass.Forward));
        Assert.Equal(whole.DeviceFlops, model.Cost(FineTuningMethod.Centralised).ServerFlops);
    }

    [Fact]
    public void Cost_Memory_OfAFrozenDeviceIsFarBelowThatOfATrainingOne()
    {
        var model = new CostModel(Workloads.Classification(Workloads.Gpt2Small, boundary: 2));
        var (frozen, split, whole) = (
            model.Cost(FineTuningMethod.SplitFrozen).Clients[0].PeakMemory, model.Cost(FineTuningMethod.SplitLora).Clients[0].PeakMemory,
            model.Cost(FineTuningMethod.FedLora).Clients[0].PeakMemory);
        Assert.Equal((0L, 0L), (frozen.Gradients, frozen.Moments));

        // Two blocks of 7,087,872 weights and the embeddings of GPT-2 small: the counts of its files.
        Assert.Equal(sizeof(float) * ((2 * 7_087_872L) + (768L * (50257 + 1024))), frozen.Weights);
        Assert.Equal(2 * whole.Gradients, whole.Moments);
        Assert.Equal(sizeof(float) * ((12L * 8 * (768 + 2304)) + (2 * 768)), whole.Gradients);
        Assert.True(frozen.Total < split.Total && split.Total < whole.Total);
    }

    [Theory]
    [InlineData("boundary", 6)]
    [InlineData("cut", 3)]
    [InlineData("batch", 0)]
    public void Workload_Impossible_IsRefused(string what, int value)
    {
        var good = Workloads.Classification(Workloads.SampleModel, boundary: 2, clients: 1);
        var bad = what switch
        {
            "boundary" => good with { Boundary = value },
            "cut" => good with { Cuts = [value] },
            _ => good with { BatchSize = value },
        };
        Assert.Throws<ArgumentException>(() => new CostModel(bad));
    }
}
