using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Coordinator.Devices;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class CutChooserTests
{
    private static readonly RunFacts s_facts = new("ff", 100, false, 2, ["a", "b"], BlockGigaflopsPerToken: 0.001, BlockBytes: 10, EmbeddingBytes: 35);

    [Fact]
    public void Choose_OverAGrid_TakesTheDeepestCutThatFits()
    {
        for (var boundary = 0; boundary <= 6; boundary++)
        {
            for (var memory = 0L; memory <= 110; memory++)
            {
                var choice = CutChooser.Choose(Spec(boundary), s_facts, 0, new DeviceProfile(1, memory, 1e6));
                var fitting = Enumerable.Range(0, boundary + 1).Where(cut => s_facts.EmbeddingBytes + (cut * s_facts.BlockBytes) <= memory);
                Assert.Equal(fitting.DefaultIfEmpty(0).Max(), choice.Cut);
                Assert.Equal(memory < s_facts.EmbeddingBytes + (boundary * s_facts.BlockBytes), choice.Reason.StartsWith("Memory binds", StringComparison.Ordinal));
                Assert.EndsWith(".", choice.Reason, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData(1, 1e6, "computing binds, with 4000 µs for a token against 200 µs for sending")]
    [InlineData(100, 1e4, "sending binds, with 20000 µs for a token against 40 µs for computing")]
    public void Choose_Fits_NamesWhatBinds(double gigaflops, double uplink, string expected) =>
        Assert.Contains(expected, CutChooser.Choose(Spec(4), s_facts, 0, new DeviceProfile(gigaflops, 1000, uplink)).Reason, StringComparison.Ordinal);

    [Fact]
    public void Choose_SpecNamesCuts_CyclesThemAndLeavesTheHeldOutSplitAtTheBoundary()
    {
        var spec = Spec(4) with { Clients = new ClientsSpec { Count = 5, Cuts = [1, 3] } };
        var weak = new DeviceProfile(1, 1000, 1);
        Assert.Equal([1, 3, 1, 3, 1], Enumerable.Range(0, 5).Select(client => CutChooser.Choose(spec, s_facts, client, weak).Cut));
        Assert.Equal(4, CutChooser.Choose(spec, s_facts, null, weak).Cut);
    }

    private static RunSpec Spec(int boundary) => new() { Model = new ModelSpec { Boundary = boundary } };
}
