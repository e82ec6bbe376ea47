using SplitFrozen.Models;
using SplitFrozen.Tests.Engine.Models;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.Parity;

/// <summary>Model, clipping and AdamW together: ten losses and gradient norms against torch.optim.AdamW and clip_grad_norm_.</summary>
public sealed class TenStepsTests
{
    [Theory]
    [InlineData("gpt2", "classification", ScalarType.Float64, 1e-9)]
    [InlineData("gpt2", "language_model", ScalarType.Float64, 1e-9)]
    [InlineData("llama", "classification", ScalarType.Float64, 1e-9)]
    [InlineData("llama", "language_model", ScalarType.Float64, 1e-9)]
    [InlineData("gpt2", "classification", ScalarType.Float32, 2e-4)]
    [InlineData("gpt2", "language_model", ScalarType.Float32, 2e-4)]
    [InlineData("llama", "classification", ScalarType.Float32, 2e-4)]
    [InlineData("llama", "language_model", ScalarType.Float32, 2e-4)]
    public void TenSteps_OfAdamWWithClipping_HaveTheLossesOfPyTorch(string model, string name, ScalarType type, double tolerance)
    {
        var stored = StoredSteps.Read(model, name);
        using var folder = References.Model(model);
        using var upper = StoredSteps.Open(folder, model, name, type);
        using var encoder = FrozenEncoder.Open(folder, upper.Options.Boundary, type);
        using var optimiser = new AdamW(
            upper.FlatValues, upper.FlatGradients, [.. upper.Parameters.Select(parameter => new TrainableTensor(parameter.Name, parameter.Value))],
            new AdamWOptions { Beta1 = stored.Beta1, Beta2 = stored.Beta2, Epsilon = stored.Epsilon, WeightDecay = stored.WeightDecay });
        for (var step = 0; step < stored.Losses.Length; step++)
        {
            var samples = stored.At(step);
            using var layout = new SequenceLayout([.. samples.Select(sample => sample.Tokens.Length)]);
            using var hidden = encoder.Encode([.. samples.SelectMany(sample => sample.Tokens)], layout);
            using var pass = upper.Forward(hidden, layout, [.. samples.SelectMany(sample => sample.LabelIds)], dropoutSeed: 1, training: true);
            using var deferred = new WeightGradients();
            pass.BackwardInput(1, deferred);
            deferred.Run();
            var norm = optimiser.ClipGradients(stored.MaximumNorm);
            optimiser.Step(stored.LearningRate);

            AssertClose(stored.Losses[step], pass.Loss, tolerance, $"loss of step {step}");
            AssertClose(stored.GradientNorms[step], norm, tolerance, $"gradient norm of step {step}");
        }

        foreach (var parameter in upper.Parameters)
        {
            AssertClose(stored.FinalNorms[parameter.Name], Norm(parameter.Value), tolerance, $"norm of {parameter.Name}");
        }
    }

    private static double Norm(Tensor value)
    {
        using var scope = NewDisposeScope();
        return value.to(ScalarType.Float64).norm().item<double>();
    }

    private static void AssertClose(double expected, double actual, double tolerance, string what) =>
        Assert.True(Math.Abs(expected - actual) <= tolerance * Math.Abs(expected), $"{what}: {actual}, expected {expected}, off by {Math.Abs((actual / expected) - 1):e1}");
}
