using SplitFrozen.Models;
using SplitFrozen.Tasks.Metrics;
using SplitFrozen.Tasks;
using SplitFrozen.Training.Export;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>
/// Measures an adapter on the held-out split without services: frozen blocks, wire type, upper blocks, as in a run. Must be
/// called on a compute thread.
/// </summary>
internal sealed class AdapterEvaluation(PreparedRun run, PeftAdapter adapter) : IDisposable
{
    private readonly UpperModel _upper = adapter.Open(run.Model);
    private readonly FrozenEncoder _encoder = FrozenEncoder.Open(run.Model, adapter.Boundary(run.Model.Config));

    /// <summary>The task's metrics over the whole held-out split.</summary>
    public IReadOnlyDictionary<string, double> Evaluate(CancellationToken cancellationToken)
    {
        var isLanguageModel = run.Data.Task.Kind == TaskKind.LanguageModel;
        if (!isLanguageModel && adapter.Classes != run.Data.Task.Classes)
        {
            throw new InputException($"The adapter has a head for {adapter.Classes} classes, but the task has {run.Data.Task.Classes}.");
        }

        using var tuner = new FineTuner(_upper, run.Spec.Training, totalSteps: 1, seed: 0, labelsPerToken: isLanguageModel);
        var accumulator = new EvaluationAccumulator(run.Data.Task);
        foreach (var batch in run.Data.Evaluation.Chunk(run.Spec.Device.MicroBatch))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var encoded = SampleBatch.Encode(_encoder, batch, run.Spec.Device.WireType);
            tuner.EvaluateInto(accumulator, encoded.Samples);
        }

        return accumulator.Metrics();
    }

    /// <summary>Answers the generation examples greedily and counts the exact ones.</summary>
    public (int Answered, int Correct) Generate(CancellationToken cancellationToken)
    {
        var generator = new TextGenerator(_encoder, _upper);
        var metrics = new LanguageModelMetrics();
        var stop = new HashSet<int>(new[] { run.Tokenizer.EndOfTextId, run.Model.Config.EndOfTextId, run.Tokenizer.BeginOfTextId }.OfType<int>());
        var correct = 0;
        foreach (var example in run.Data.GenerationExamples)
        {
            var answer = generator.Generate(example.Prompt, run.Spec.Task.GenerateTokens, stop, cancellationToken);
            correct += metrics.AddAnswer(run.Tokenizer.Decode(answer), example) ? 1 : 0;
        }

        return (run.Data.GenerationExamples.Count, correct);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _encoder.Dispose();
        _upper.Dispose();
    }
}
