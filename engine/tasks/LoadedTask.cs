using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Tasks;

/// <summary>A held-out row to be answered by generation.</summary>
/// <param name="Line">Line of the evaluation file, counted from 1.</param>
/// <param name="PromptText">The prompt as text.</param>
/// <param name="Prompt">The prompt's ids, begin-of-text included where the tokenizer has one.</param>
/// <param name="Answer">The reference answer.</param>
/// <param name="Number">The reference number after <c>####</c>; null for tasks other than GSM8K.</param>
public sealed record GenerationExample(int Line, string PromptText, int[] Prompt, string Answer, decimal? Number);

/// <summary>One split of a task.</summary>
/// <param name="Samples">Its samples in file order, numbered by position as in a <see cref="LoadedTask"/>.</param>
/// <param name="LeftOut">Rows left out: too long (language modelling) or without a gold label (MNLI's <c>-</c>).</param>
public sealed record LoadedSplit(IReadOnlyList<EncodedSample> Samples, int LeftOut);

/// <summary>
/// A task with its encoded data. Samples are numbered by position: <c>Train[i].Id</c> is <c>SampleId.Training(i)</c>,
/// <c>Evaluation[i].Id</c> is <c>SampleId.Evaluation(i)</c>; rows that were left out have no number.
/// </summary>
public sealed class LoadedTask
{
    /// <summary>The task.</summary>
    public required ITask Task { get; init; }

    /// <summary>Training samples, in file order.</summary>
    public required IReadOnlyList<EncodedSample> Train { get; init; }

    /// <summary>Held-out samples, in file order.</summary>
    public required IReadOnlyList<EncodedSample> Evaluation { get; init; }

    /// <summary>Training rows left out: too long (language modelling) or without a gold label (MNLI's <c>-</c>).</summary>
    public required int TrainLeftOut { get; init; }

    /// <summary>Held-out rows left out, for the same reasons.</summary>
    public required int EvaluationLeftOut { get; init; }

    /// <summary>All rows left out.</summary>
    public int LeftOut => TrainLeftOut + EvaluationLeftOut;

    /// <summary>
    /// The first <c>task.generate_samples</c> held-out rows whose prompt leaves room for <c>task.generate_tokens</c> new
    /// tokens within the model's positions; empty for classification. A row too long for the loss can still be here.
    /// </summary>
    public required IReadOnlyList<GenerationExample> GenerationExamples { get; init; }

    /// <summary>Held-out rows passed over for generation because their prompt leaves no room for an answer.</summary>
    public required int GenerationLeftOut { get; init; }

    /// <summary>The sample with this id.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The task has no such sample.</exception>
    public EncodedSample this[SampleId id]
    {
        get
        {
            var split = id.IsEvaluation ? Evaluation : Train;
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)id.Row, (uint)split.Count, nameof(id));
            return split[id.Row];
        }
    }
}
