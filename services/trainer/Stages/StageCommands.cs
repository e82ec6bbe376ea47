using SplitFrozen.Contracts.Wire;
using SplitFrozen.Pipelining;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;
using SplitFrozen.Training.Pipelining;
using static TorchSharp.torch;

namespace SplitFrozen.Trainer.Stages;

/// <summary>A sample of a step for the first stage of another replica; its hidden states lie beside it as <c>{micro-batch}.{sample}</c>.</summary>
internal sealed record SampleOutline(long Id, int Cut, int[] Labels);

/// <summary>Run a step's actions.</summary>
/// <param name="Step">The step.</param>
/// <param name="Trains">Whether it trains.</param>
/// <param name="MicroBatches">Its micro-batches.</param>
/// <param name="CountedLabels">Labels of the whole step that count.</param>
/// <param name="Schedule">How the stages take turns; every stage makes the same schedule of it.</param>
/// <param name="Samples">Samples by micro-batch for a first stage; else null.</param>
internal sealed record ComputeCommand(
    int Step, bool Trains, IReadOnlyList<MicroBatchOutline> MicroBatches, int CountedLabels, PipelineScheduleKind Schedule, SampleOutline[][]? Samples)
{
    /// <summary>The message for a stage.</summary>
    /// <param name="number">Number of the command.</param>
    /// <param name="step">The step.</param>
    /// <param name="schedule">Its schedule.</param>
    /// <param name="withSamples">Whether the stage is the first of its replica.</param>
    public static StageMessage Message(int number, PipelineStep step, PipelineSchedule schedule, bool withSamples)
    {
        var samples = withSamples ? step.Samples! : null;
        var command = new ComputeCommand(
            step.Step, step.Trains, step.MicroBatches, step.CountedLabels, schedule.Request.Kind,
            samples?.Select(batch => Array.ConvertAll(batch, sample => new SampleOutline(sample.Id.Value, sample.Cut, sample.Labels))).ToArray());
        return StageMessage.Of(StageMessageKind.Compute, number, command) with
        {
            Tensors = [.. (samples ?? []).SelectMany((batch, m) => batch.Select((sample, i) => (Name(m, i), sample.Hidden)))],
        };
    }

    /// <summary>The step that a message asks for. Tensors of samples stay the message's.</summary>
    public PipelineStep ToStep(StageMessage message)
    {
        var hidden = message.Tensors.ToDictionary(entry => entry.Name, entry => entry.Tensor, StringComparer.Ordinal);
        return new PipelineStep(
            Step, Trains, MicroBatches, CountedLabels,
            Samples?.Select((batch, m) => batch.Select((sample, i) => new TrainingSample(
                new SampleId(sample.Id), sample.Cut,
                hidden.GetValueOrDefault(Name(m, i)) ?? throw new TrainerException($"A message between stages lacks the hidden states of sample {sample.Id}."),
                sample.Labels)).ToArray()).ToArray());
    }

    private static string Name(int microBatch, int sample) => $"{microBatch}.{sample}";
}

/// <summary>Update the parameters.</summary>
internal sealed record UpdateCommand(double Scale, double LearningRate);

/// <summary>Parameters and moments as messages.</summary>
internal static class StateMessage
{
    /// <summary>A message with a state; its tensors stay the state's.</summary>
    public static StageMessage Of(StageMessageKind kind, int number, TrainingState state) =>
        StageMessage.Of(kind, number, new Outline([.. state.Parameters.Select(parameter => parameter.Name)], state.StepsTaken)) with
        {
            Tensors = [.. state.Parameters.SelectMany(parameter => parameter.Tensors())],
        };

    /// <summary>The state of a message; the caller owns its tensors.</summary>
    public static TrainingState Read(StageMessage message)
    {
        var outline = message.Read<Outline>();
        return new TrainingState(
            Array.ConvertAll(outline.Parameters, name => ParameterState.Of(name, Take)), outline.StepsTaken);

        Tensor Take(string name) => message.Take(name) ?? throw new TrainerException($"A message between stages lacks the tensor '{name}'.");
    }

    /// <summary>What the tensors belong to, in the order of the model.</summary>
    private sealed record Outline(string[] Parameters, int StepsTaken);
}
