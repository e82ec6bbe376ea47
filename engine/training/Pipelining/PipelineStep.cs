using SplitFrozen.Pipelining;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Training.Pipelining;

/// <summary>What every stage knows of a micro-batch; the hidden states come from the stage before.</summary>
/// <param name="Index">Its place in the whole step, from 0; decides dropout.</param>
/// <param name="Lengths">Tokens of each sample.</param>
/// <param name="Labels">Labels of all samples, one after the other.</param>
public sealed record MicroBatchOutline(int Index, int[] Lengths, int[] Labels)
{
    /// <summary>Labels that count.</summary>
    public int CountedLabels => MicroBatch.Count(Labels);
}

/// <summary>What the stages of one replica have to do: an optimiser step, or a part of one, or forward alone.</summary>
/// <param name="Step">The step, counted from 0; decides dropout.</param>
/// <param name="Trains">Whether F, B and W run, or F alone without dropout.</param>
/// <param name="MicroBatches">The micro-batches in their order.</param>
/// <param name="CountedLabels">Labels of the whole step that count, those of other replicas included.</param>
/// <param name="Samples">The samples of each micro-batch, for the first stage; null for the others.</param>
public sealed record PipelineStep(
    int Step, bool Trains, IReadOnlyList<MicroBatchOutline> MicroBatches, int CountedLabels, IReadOnlyList<TrainingSample[]>? Samples)
{
    /// <summary>The schedule of the step, with sends and receives: every stage makes the same one.</summary>
    /// <param name="kind">How the stages take turns where the step trains.</param>
    /// <param name="stages">Stages of the pipeline.</param>
    public PipelineSchedule Schedule(PipelineScheduleKind kind, int stages) => CommunicationPass.Insert(
        Trains ? PipelineSchedule.Create(new ScheduleRequest(kind, stages, MicroBatches.Count)) : PipelineSchedule.ForwardOnly(stages, MicroBatches.Count));
}

/// <summary>What a stage has to tell of its part of a step.</summary>
/// <param name="Heads">The head's results by micro-batch; empty for a stage without a head.</param>
/// <param name="GradientSquares">Sum of the squares of each parameter's gradient, in order; empty where nothing trains.</param>
/// <param name="Actions">When each action began and ended, in seconds from the moment when the stage was told to begin.</param>
public sealed record StageReport(IReadOnlyList<HeadResult> Heads, double[] GradientSquares, IReadOnlyList<TimedAction> Actions);
