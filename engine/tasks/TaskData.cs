using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Tasks.Encoders;
using SplitFrozen.Tasks.Reading;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Tasks;

/// <summary>Reads a task's data files and turns them into samples.</summary>
public static class TaskData
{
    /// <summary>The shortest <c>task.max_length</c>: room for begin-of-text, a separator and a token of each text.</summary>
    public const int SmallestMaxLength = 8;

    /// <summary>
    /// The task without its data. No file is read where the kind or <c>task.classes</c> tells the classes; otherwise the training file is, for its labels.
    /// </summary>
    /// <exception cref="DataException">The spec asks for something that the task or the model does not have, or the training file is faulty.</exception>
    public static ITask Describe(TaskSpec spec, string baseFolder, int maximumPositions) => Define(spec, baseFolder, maximumPositions).Description;

    /// <summary>
    /// Loads both splits of <paramref name="spec"/>. Relative paths are taken from <paramref name="baseFolder"/>;
    /// <paramref name="maximumPositions"/> is the model's longest sequence in tokens.
    /// </summary>
    /// <exception cref="DataException">
    /// A file is missing, empty or faulty (all faults of the file are counted, the first ten listed), or the spec asks
    /// for something that the task or the model does not have.
    /// </exception>
    public static LoadedTask Load(TaskSpec spec, string baseFolder, ITextTokenizer tokenizer, int maximumPositions)
    {
        var definition = Define(spec, baseFolder, maximumPositions);
        var train = Read(definition, spec, Path.GetFullPath(spec.Train, baseFolder), evaluation: false, tokenizer, maximumPositions);
        var evaluation = Read(definition, spec, Path.GetFullPath(spec.Evaluation, baseFolder), evaluation: true, tokenizer, maximumPositions);
        return new LoadedTask
        {
            Task = definition.Description,
            Train = train.Samples,
            Evaluation = evaluation.Samples,
            TrainLeftOut = train.LeftOut,
            EvaluationLeftOut = evaluation.LeftOut,
            GenerationExamples = (evaluation as PromptSplit)?.Examples ?? [],
            GenerationLeftOut = (evaluation as PromptSplit)?.ExamplesLeftOut ?? 0,
        };
    }

    /// <summary>Loads one split alone, from a file that need not be the spec's: a device's own training rows, or the held-out rows.</summary>
    /// <param name="spec">The task; its kind or <c>task.classes</c> tells the classes.</param>
    /// <param name="file">The file; a relative path is taken from the working folder.</param>
    /// <param name="evaluation">Which of the split's ids and which of the spec's limits holds.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="maximumPositions">The model's longest sequence in tokens.</param>
    /// <exception cref="DataException">As for <see cref="Load"/>; also when the spec leaves the classes to the training file.</exception>
    public static LoadedSplit LoadSplit(TaskSpec spec, string file, bool evaluation, ITextTokenizer tokenizer, int maximumPositions)
    {
        CheckLength(spec, maximumPositions);
        var definition = TaskDefinition.From(spec);
        if (definition.LacksClasses)
        {
            throw new DataException(TaskDefinition.SpecFile, null, "task.classes", "found nothing; expected the names of all classes, which one split alone does not tell");
        }

        var split = Read(definition, spec, file, evaluation, tokenizer, maximumPositions);
        return new LoadedSplit(split.Samples, split.LeftOut);
    }

    private static TaskDefinition Define(TaskSpec spec, string baseFolder, int maximumPositions)
    {
        CheckLength(spec, maximumPositions);
        var definition = TaskDefinition.From(spec);
        return definition.LacksClasses
            ? definition with { Description = definition.Description with { ClassNames = ClassDiscovery.Find(Path.GetFullPath(spec.Train, baseFolder), definition) } }
            : definition;
    }

    private static void CheckLength(TaskSpec spec, int maximumPositions)
    {
        if (spec.MaxLength < SmallestMaxLength || spec.MaxLength > maximumPositions)
        {
            throw new DataException(
                TaskDefinition.SpecFile, null, "task.max_length",
                $"found {spec.MaxLength}; expected {SmallestMaxLength} to {maximumPositions}, the model's positions");
        }
    }

    private static SplitReader Read(
        TaskDefinition definition, TaskSpec spec, string file, bool evaluation, ITextTokenizer tokenizer, int maximumPositions)
    {
        SplitReader split = definition.Template is null
            ? new ClassificationSplit(definition, new ClassificationEncoder(tokenizer, spec.MaxLength), evaluation)
            : new PromptSplit(
                definition, new PromptEncoder(tokenizer), spec.MaxLength, evaluation, evaluation ? spec.GenerateSamples : 0, maximumPositions - spec.GenerateTokens);
        split.Read(file, evaluation ? spec.EvaluationLimit : spec.TrainLimit);
        return split;
    }
}
