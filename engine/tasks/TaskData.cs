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
    /// Loads both splits of <paramref name="spec"/>. Relative paths are taken from <paramref name="baseFolder"/>;
    /// <paramref name="maximumPositions"/> is the model's longest sequence in tokens.
    /// </summary>
    /// <exception cref="DataException">
    /// A file is missing, empty or faulty (all faults of the file are counted, the first ten listed), or the spec asks
    /// for something that the task or the model does not have.
    /// </exception>
    public static LoadedTask Load(TaskSpec spec, string baseFolder, ITextTokenizer tokenizer, int maximumPositions)
    {
        if (spec.MaxLength < SmallestMaxLength || spec.MaxLength > maximumPositions)
        {
            throw new DataException(
                TaskDefinition.SpecFile, null, "task.max_length",
                $"found {spec.MaxLength}; expected {SmallestMaxLength} to {maximumPositions}, the model's positions");
        }

        var definition = TaskDefinition.From(spec);
        var trainFile = Path.GetFullPath(spec.Train, baseFolder);
        var evaluationFile = Path.GetFullPath(spec.Evaluation, baseFolder);
        if (definition.Description is { Kind: TaskKind.Classification, Classes: 0 })
        {
            var found = ClassDiscovery.Find(trainFile, definition);
            definition = definition with { Description = definition.Description with { ClassNames = found } };
        }

        return definition.Template is null
            ? LoadClassification(definition, spec, trainFile, evaluationFile, tokenizer)
            : LoadLanguageModel(definition, spec, trainFile, evaluationFile, tokenizer, maximumPositions);
    }

    private static LoadedTask LoadClassification(
        TaskDefinition definition, TaskSpec spec, string trainFile, string evaluationFile, ITextTokenizer tokenizer)
    {
        var encoder = new ClassificationEncoder(tokenizer, spec.MaxLength);
        var train = new ClassificationSplit(definition, encoder, evaluation: false);
        train.Read(trainFile, spec.TrainLimit);
        var evaluation = new ClassificationSplit(definition, encoder, evaluation: true);
        evaluation.Read(evaluationFile, spec.EvaluationLimit);
        return new LoadedTask
        {
            Task = definition.Description,
            Train = train.Samples,
            Evaluation = evaluation.Samples,
            TrainLeftOut = train.LeftOut,
            EvaluationLeftOut = evaluation.LeftOut,
            GenerationExamples = [],
            GenerationLeftOut = 0,
        };
    }

    private static LoadedTask LoadLanguageModel(
        TaskDefinition definition, TaskSpec spec, string trainFile, string evaluationFile, ITextTokenizer tokenizer, int maximumPositions)
    {
        var encoder = new PromptEncoder(tokenizer);
        var train = new PromptSplit(definition, encoder, spec.MaxLength, evaluation: false, generate: 0, longestPrompt: 0);
        train.Read(trainFile, spec.TrainLimit);
        var longestPrompt = maximumPositions - spec.GenerateTokens;
        var evaluation = new PromptSplit(definition, encoder, spec.MaxLength, evaluation: true, spec.GenerateSamples, longestPrompt);
        evaluation.Read(evaluationFile, spec.EvaluationLimit);
        return new LoadedTask
        {
            Task = definition.Description,
            Train = train.Samples,
            Evaluation = evaluation.Samples,
            TrainLeftOut = train.LeftOut,
            EvaluationLeftOut = evaluation.LeftOut,
            GenerationExamples = evaluation.Examples,
            GenerationLeftOut = evaluation.ExamplesLeftOut,
        };
    }
}
