using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Tasks;

/// <summary>Which columns hold the texts and the target.</summary>
internal sealed record ColumnLayout(IReadOnlyList<string> Texts, string Target)
{
    public IEnumerable<string> All => Texts.Append(Target);
}

/// <summary>A task before its data is read.</summary>
/// <param name="Description">The task; its class names are empty where the data decides them.</param>
/// <param name="Layouts">Column names that are understood; a file's first row decides between them.</param>
/// <param name="Template">Language modelling: what makes the prompt.</param>
/// <param name="ColumnsWithoutHeader">Columns of a TSV file that has no header.</param>
/// <param name="NoGoldLabel">The target of rows that annotators did not agree on; such rows are left out.</param>
internal sealed record TaskDefinition(
    TaskDescription Description,
    IReadOnlyList<ColumnLayout> Layouts,
    PromptTemplate? Template = null,
    IReadOnlyList<string>? ColumnsWithoutHeader = null,
    string? NoGoldLabel = null)
{
    /// <summary>Name that stands for the run spec where a fault is in it rather than in a data file.</summary>
    public const string SpecFile = "run spec";

    /// <summary>True where only the labels of the training file tell the classes.</summary>
    public bool LacksClasses => Description is { Kind: TaskKind.Classification, Classes: 0 };

    /// <exception cref="DataException">The kind is unknown, or the prompt template is malformed.</exception>
    public static TaskDefinition From(TaskSpec spec) => spec.Kind switch
    {
        TaskKinds.Sst2 => new(
            Classes(spec.Kind, "accuracy", null, "negative", "positive"),
            [new(["sentence"], "label")],
            ColumnsWithoutHeader: ["sentence", "label"]),
        TaskKinds.Mrpc => new(
            Classes(spec.Kind, "f1", 1, "not_equivalent", "equivalent"),
            [new(["#1 String", "#2 String"], "Quality"), new(["sentence1", "sentence2"], "label")]),
        TaskKinds.Mnli => new(
            Classes(spec.Kind, "accuracy", null, "entailment", "neutral", "contradiction"),
            [new(["premise", "hypothesis"], "label"), new(["sentence1", "sentence2"], "gold_label")],
            NoGoldLabel: "-"),
        TaskKinds.Classification => new(
            Classes(spec.Kind, "accuracy", null, [.. spec.Classes]),
            [new(spec.TextColumns.Count > 0 ? spec.TextColumns : ["text"], spec.TargetColumn ?? "label")]),
        TaskKinds.Gsm8k => Prompted(spec.Kind, "exact_match", "Question: {question}\nAnswer:", "answer"),
        TaskKinds.Instruction => Prompted(spec.Kind, "loss", spec.PromptTemplate ?? DefaultTemplate(spec), spec.TargetColumn ?? "answer"),
        _ => throw new DataException(
            SpecFile, null, "task.kind", $"found '{spec.Kind}'; expected one of {string.Join(", ", TaskKinds.All)}"),
    };

    private static TaskDescription Classes(string name, string metric, int? positive, params IReadOnlyList<string> classes) =>
        new(name, TaskKind.Classification, classes, positive, metric);

    private static TaskDefinition Prompted(string name, string metric, string template, string target)
    {
        if (!PromptTemplate.TryParse(template, out var parsed, out var reason))
        {
            throw new DataException(SpecFile, null, "task.prompt_template", reason);
        }

        return new(new(name, TaskKind.LanguageModel, [], null, metric), [new(parsed.Columns, target)], parsed);
    }

    private static string DefaultTemplate(TaskSpec spec) =>
        string.Concat((spec.TextColumns.Count > 0 ? spec.TextColumns : ["text"]).Select(column => $"{{{column}}}\n"));
}
