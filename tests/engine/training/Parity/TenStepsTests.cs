using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tests.Engine.Models;
using SplitFrozen.Training.FineTuning;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.Parity;

/// <summary>
/// Model, micro-batches, clipping and AdamW together: ten losses and gradient norms against torch.optim.AdamW and
/// clip_grad_norm_ over whole batches.
/// </summary>
public sealed class TenStepsTests
{
    public static TheoryData<string, string, ScalarType, double> Runs
    {
        get
        {
            var data = new TheoryData<string, string, ScalarType, double>();
            foreach (var (type, tolerance) in new[] { (ScalarType.Float64, 1e-9), (ScalarType.Float32, 2e-4) })
            {
                foreach (var model in new[] { "gpt2", "llama" })
                {
                    data.Add(model, "classification", type, tolerance);
                    data.Add(model, "language_model", type, tolerance);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void Train_WholeBatches_HasTheLossesOfPyTorch(string model, string name, ScalarType type, double tolerance) =>
        Check(model, name, type, tolerance, microBatch: 0, mixedCuts: false);

    [Theory]
    [MemberData(nameof(Runs))]
    public void Train_UnevenMicroBatchesFromSeveralCuts_HasTheSameLosses(string model, string name, ScalarType type, double tolerance) =>
        Check(model, name, type, tolerance, microBatch: 3, mixedCuts: true);

    private static void Check(string model, string name, ScalarType type, double tolerance, int microBatch, bool mixedCuts)
    {
        var stored = StoredSteps.Read(model, name);
        using var folder = References.Model(model);
        using var upper = StoredSteps.Open(folder, model, name, type);
        using var scope = NewDisposeScope();
        var samples = stored.Samples
            .Select((sample, row) => Sample(folder, sample, row, mixedCuts ? row % (upper.Options.Boundary + 1) : upper.Options.Boundary, type)).ToArray();
        using var tuner = new FineTuner(upper, stored.Spec with { MicroBatch = microBatch }, stored.Losses.Length, seed: 1, labelsPerToken: stored.Classes == 0);
        for (var step = 0; step < stored.Losses.Length; step++)
        {
            var result = tuner.Train(step, [.. Enumerable.Range(step * stored.Batch, stored.Batch).Select(i => samples[i % samples.Length])]);

            AssertClose(stored.Losses[step], result.Loss, tolerance, $"loss of step {step}");
            AssertClose(stored.GradientNorms[step], result.GradientNorm, tolerance, $"gradient norm of step {step}");
        }

        foreach (var parameter in upper.Parameters)
        {
            AssertClose(stored.FinalNorms[parameter.Name], parameter.Value.to(ScalarType.Float64).norm().item<double>(), tolerance, $"norm of {parameter.Name}");
        }
    }

    private static TrainingSample Sample(ModelFolder folder, StoredSample sample, int row, int cut, ScalarType type)
    {
        using var encoder = FrozenEncoder.Open(folder, cut, type);
        using var layout = new SequenceLayout([sample.Tokens.Length]);
        return new TrainingSample(SampleId.Training(row), cut, encoder.Encode(sample.Tokens, layout), sample.LabelIds);
    }

    private static void AssertClose(double expected, double actual, double tolerance, string what) =>
        Assert.True(Math.Abs(expected - actual) <= tolerance * Math.Abs(expected), $"{what}: {actual}, expected {expected}, off by {Math.Abs((actual / expected) - 1):e1}");
}
