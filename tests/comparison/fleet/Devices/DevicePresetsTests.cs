using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Devices;
using SplitFrozen.Comparison.Fleet.Tests.Costs;

namespace SplitFrozen.Comparison.Fleet.Tests.Devices;

public sealed class DevicePresetsTests
{
    [Fact]
    public void Documentation_HasEveryPresetWithItsSource()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "SplitFrozen.sln")))
        {
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("SplitFrozen.sln is above no parent folder of the test.");
        }

        var lines = File.ReadAllLines(Path.Combine(root, "docs", "fleet.md"));
        Assert.All(DevicePresets.All, preset => Assert.Contains(Row(preset), lines));
    }

    [Fact]
    public void Presets_HaveMemoryForTheEmbeddingsOfGpt2Small()
    {
        var planner = new CutPlanner(Workloads.Classification(Workloads.Gpt2Small, boundary: 6), DevicePresets.HeterogeneousFleet, cached: true);
        Assert.All(planner.Deepest(), cut => Assert.InRange(cut, 1, 6));
    }

    [Fact]
    public void FedLora_OfGpt2Small_DoesNotFitTheSmallestDevice()
    {
        var model = new CostModel(Workloads.Classification(Workloads.Gpt2Small, boundary: 6));
        var memory = DevicePresets.RaspberryPiZero2.Device.Profile.MemoryBytes;
        Assert.True(model.Cost(FineTuningMethod.FedLora).PeakDeviceMemory > memory);
        Assert.True(model.Cost(FineTuningMethod.SplitFrozen).PeakDeviceMemory < memory);
    }

    private static string Row(DevicePreset preset)
    {
        var (device, profile) = (preset.Device, preset.Device.Profile);
        return $"| {device.Name} | {profile.GigaflopsPerSecond:0} | {profile.MemoryBytes / (double)(1L << 30):0.#} GiB | {profile.UplinkBytesPerSecond * 8 / 1e6:0.##} | "
            + $"{device.DownlinkBytesPerSecond * 8 / 1e6:0.##} | {device.Latency.TotalMilliseconds:0} | {preset.Source} |";
    }
}
