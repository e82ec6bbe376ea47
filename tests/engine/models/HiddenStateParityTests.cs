using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

/// <summary>Frozen blocks, split at any depth, against the hidden states of an independent PyTorch implementation.</summary>
public sealed class HiddenStateParityTests
{
    [Theory]
    [InlineData("gpt2", ScalarType.Float32, 2e-6)]
    [InlineData("gpt2", ScalarType.Float64, 1e-12)]
    [InlineData("llama", ScalarType.Float32, 2e-6)]
    [InlineData("llama", ScalarType.Float64, 1e-12)]
    public void HiddenStates_AtEveryCutUpToTheBoundary_EqualIndependentOnes(string model, ScalarType type, double tolerance)
    {
        using var stored = References.Case(model, "classification");
        using var folder = References.Model(model);
        using var upper = References.Open(folder, stored, model, "adapter_all", type);
        using var layout = new SequenceLayout(stored.Integers("lengths"));
        var boundary = upper.Options.Boundary;
        Assert.True(boundary > 0);
        for (var cut = 0; cut <= boundary; cut++)
        {
            using var encoder = FrozenEncoder.Open(folder, cut, type);
            using var hidden = encoder.Encode(stored.Integers("tokens"), layout);
            Comparison.AssertClose(stored[$"hidden.{cut}"], hidden, tolerance, $"hidden states at {cut}");
            using var caughtUp = upper.CatchUp(hidden, layout, cut);
            Comparison.AssertClose(stored[$"hidden.{boundary}"], caughtUp, tolerance, $"caught up from {cut}");
        }
    }
}
