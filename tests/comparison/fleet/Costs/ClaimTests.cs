using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Devices;
using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Tests.Costs;

/// <summary>Up to which cut the headline claims hold, and how much time is saved: what the formulas and the simulation say, not what they were made to say.</summary>
public sealed class ClaimTests(ITestOutputHelper output)
{
    private const double PaperDeviceCompute = 0.868;
    private const double CachedDeviceCompute = 0.95;
    private const double PaperTime = 0.502;
    private const double CachedTime = 0.7;

    public static TheoryData<string, int, int> Boundaries => new()
    {
        // The deepest cut with at least 86.8 % less device compute than FedLoRA in an epoch, and with 95 % less over five epochs with the cache.
        { "GPT-2 small", 2, 5 },
        { "sample model", 1, 2 },
    };

    [Theory]
    [MemberData(nameof(Boundaries))]
    public void DeviceCompute_AgainstFedLora_ReachesTheClaimUpToACut(string model, int deepest, int deepestCached)
    {
        var config = model == "GPT-2 small" ? Workloads.Gpt2Small : Workloads.SampleModel;
        var savings = Enumerable.Range(0, config.Layers).Select(boundary => (
            Boundary: boundary, Once: Saved(config, boundary, FineTuningMethod.SplitFrozen, 1), Cached: Saved(config, boundary, FineTuningMethod.SplitFrozenCached, 5))).ToArray();
        foreach (var (boundary, once, cached) in savings)
        {
            output.WriteLine($"{model}, cut {boundary}: {once:P1} less device compute in an epoch, {cached:P1} less over five with the cache");
        }

        Assert.Equal(deepest, savings.Last(saving => saving.Once >= PaperDeviceCompute).Boundary);
        Assert.Equal(deepestCached, savings.Last(saving => saving.Cached >= CachedDeviceCompute).Boundary);
    }

    [Theory]
    [InlineData("GPT-2 small", 3)]
    [InlineData("GPT-2 small", 6)]
    [InlineData("sample model", 2)]
    public void Time_OnTheHeterogeneousFleet_AgainstSplitLora(string model, int boundary)
    {
        var workload = Workloads.Classification(model == "GPT-2 small" ? Workloads.Gpt2Small : Workloads.SampleModel, boundary, samples: 400, epochs: 5);
        var fleet = DevicePresets.HeterogeneousFleet;
        var seconds = Enum.GetValues<FineTuningMethod>().ToDictionary(method => method, method => new FleetSimulator(workload, fleet).Run(method).Seconds);
        var own = new FleetSimulator(workload with { Cuts = new CutPlanner(workload, fleet, cached: false).PerDevice() }, fleet).Run(FineTuningMethod.SplitFrozen).Seconds;
        var ownCached = new FleetSimulator(workload with { Cuts = new CutPlanner(workload, fleet, cached: true).PerDevice() }, fleet).Run(FineTuningMethod.SplitFrozenCached).Seconds;
        foreach (var (method, time) in seconds)
        {
            output.WriteLine($"{model}, boundary {boundary}: {method} {time:F1} s ({1 - (time / seconds[FineTuningMethod.SplitLora]):P1} less than SplitLoRA)");
        }

        output.WriteLine($"{model}, boundary {boundary}: own cuts {own:F1} s, cached {ownCached:F1} s");
        Assert.InRange(seconds[FineTuningMethod.SplitFrozen] / seconds[FineTuningMethod.SplitLora], 0, 1 - PaperTime);
        Assert.InRange(seconds[FineTuningMethod.SplitFrozenCached] / seconds[FineTuningMethod.SplitLora], 0, 1 - CachedTime);
        Assert.True(own < seconds[FineTuningMethod.SplitFrozen] && ownCached < seconds[FineTuningMethod.SplitFrozenCached]);
    }

    private static double Saved(TransformerConfig config, int boundary, FineTuningMethod method, int epochs)
    {
        var model = new CostModel(Workloads.Classification(config, boundary, epochs: epochs));
        return 1 - ((double)model.Cost(method).DeviceFlops / model.Cost(FineTuningMethod.FedLora).DeviceFlops);
    }
}
