using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class GradientTests
{
    public GradientTests() => LibtorchLoader.Load();

    public static TheoryData<string, string, string> Cases => References.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Backward_InFloat64_EqualsIndependentAutograd(string model, string name, string adapter) =>
        Check(model, name, adapter, ScalarType.Float64, 1e-10);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Backward_InFloat32_EqualsIndependentAutograd(string model, string name, string adapter) =>
        Check(model, name, adapter, ScalarType.Float32, 2e-5);

    private static void Check(string model, string name, string adapter, ScalarType type, double tolerance)
    {
        using var folder = References.Model(model);
        using var stored = References.Case(model, name);
        using var upper = References.Open(folder, stored, model, adapter, type);
        using var layout = new SequenceLayout(stored.Integers("lengths"));
        using var encoder = FrozenEncoder.Open(folder, upper.Options.Boundary, type);
        using var hidden = encoder.Encode(stored.Integers("tokens"), layout);
        using var deferred = new WeightGradients();

        using var pass = upper.Forward(hidden, layout, stored.Integers("labels"), dropoutSeed: 1, training: true);
        using var logits = upper.Logits(hidden, layout);
        pass.BackwardInput(1, deferred);

        Assert.Equal(stored["loss"].item<double>(), pass.Loss, tolerance);
        Comparison.AssertClose(stored["logits"], logits, tolerance, "logits");
        Assert.All(upper.Parameters, parameter => Assert.Null(parameter.Gradient));
        Assert.True(deferred.Pending > 0);
        deferred.Run();
        Assert.Equal(stored.Names.Count(entry => entry.StartsWith("gradient.", StringComparison.Ordinal)), upper.Parameters.Count);
        foreach (var parameter in upper.Parameters)
        {
            Comparison.AssertClose(stored[$"gradient.{parameter.Name}"], parameter.Gradient!, tolerance, parameter.Name);
        }
    }
}
