namespace SplitFrozen.Tasks;

/// <summary>What the head learns.</summary>
public enum TaskKind
{
    /// <summary>One class per sample, read off its last token.</summary>
    Classification,

    /// <summary>The next token at every counted position.</summary>
    LanguageModel,
}

/// <summary>A task as the trainer and the report see it.</summary>
public interface ITask
{
    /// <summary>The kind as written in the run spec, for example <c>sst2</c>.</summary>
    string Name { get; }

    /// <summary>Classification or language modelling.</summary>
    TaskKind Kind { get; }

    /// <summary>Number of classes; 0 for language modelling.</summary>
    int Classes { get; }

    /// <summary>Names of the classes, by index; empty for language modelling.</summary>
    IReadOnlyList<string> ClassNames { get; }

    /// <summary>The class that binary F1 is about (MRPC: <c>equivalent</c>); null where F1 means the macro average.</summary>
    int? PositiveClass { get; }

    /// <summary>The headline metric: <c>accuracy</c>, <c>f1</c>, <c>exact_match</c> or <c>loss</c>.</summary>
    string MetricName { get; }
}

/// <summary>The values of an <see cref="ITask"/>.</summary>
internal sealed record TaskDescription(
    string Name, TaskKind Kind, IReadOnlyList<string> ClassNames, int? PositiveClass, string MetricName) : ITask
{
    public int Classes => ClassNames.Count;
}
