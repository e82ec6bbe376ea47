namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>The checks of <see cref="TaskSpec"/>: what each kind needs, and what it would silently ignore.</summary>
internal static class TaskSpecChecks
{
    private const int SmallestMaxLength = 8;
    private static readonly string[] DataExtensions = [".tsv", ".csv", ".jsonl"];

    public static void Check(TaskSpec task, bool ownData, Func<string, bool> fileExists, RunSpecFaults faults)
    {
        faults.OneOf(task.Kind, TaskKinds.All);
        if (ownData)
        {
            CheckOwnData(task, faults);
        }
        else
        {
            CheckFile(task.Train, "task.train", fileExists, faults);
        }

        CheckFile(task.Evaluation, "task.evaluation", fileExists, faults);
        faults.Range(task.MaxLength, SmallestMaxLength, int.MaxValue);
        CheckLimit(ownData ? null : task.TrainLimit, "task.train_limit", faults);
        CheckLimit(task.EvaluationLimit, "task.evaluation_limit", faults);
        if (TaskKinds.All.Contains(task.Kind))
        {
            CheckColumns(task, faults);
            CheckTemplate(task, faults);
        }

        faults.Range(task.GenerateSamples, 0, int.MaxValue);
        faults.Require(
            task.GenerateSamples <= 0 || TaskKinds.IsLanguageModel(task.Kind), task.GenerateSamples,
            $"0 for {task.Kind}; only gsm8k and instruction generate", "remove it");
        faults.Range(task.GenerateTokens, 1, int.MaxValue);
    }

    /// <summary>The training rows are known to the devices alone.</summary>
    private static void CheckOwnData(TaskSpec task, RunSpecFaults faults)
    {
        const string Nothing = $"nothing with clients.partition: {ClientPartitions.Devices}";
        faults.Require(task.Train.Length == 0, task.Train, Nothing, "remove it; each device worker names its own file (Device__Data)");
        faults.Require(task.TrainLimit is null, task.TrainLimit, Nothing, "remove it; each device uses all rows of its file");
        faults.Require(
            task.Kind != TaskKinds.Classification || task.Classes.Count > 0, task.Classes, $"two classes or more with clients.partition: {ClientPartitions.Devices}",
            "name them; only the devices see their files");
    }

    private static void CheckFile(string file, string path, Func<string, bool> fileExists, RunSpecFaults faults)
    {
        if (file.Length == 0)
        {
            faults.Add(path, file, "a data file", "");
        }
        else if (!DataExtensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
        {
            faults.Add(path, file, $"a file that ends in {string.Join(", ", DataExtensions)}", "the ending says how to read it");
        }
        else if (!fileExists(file))
        {
            faults.Add(path, file, "a file that exists", "correct the path or fetch the data");
        }
    }

    private static void CheckLimit(int? limit, string path, RunSpecFaults faults)
    {
        if (limit < 1)
        {
            faults.Add(path, limit, "a whole number of at least 1", "leave it out to use all rows");
        }
    }

    private static void CheckColumns(TaskSpec task, RunSpecFaults faults)
    {
        var isGeneric = task.Kind is TaskKinds.Classification or TaskKinds.Instruction;
        var fixedColumns = $"nothing for {task.Kind}, whose columns are known";
        faults.Require(isGeneric || task.TextColumns.Count == 0, task.TextColumns, fixedColumns, "remove it, or use classification or instruction");
        faults.Require(isGeneric || task.TargetColumn is null, task.TargetColumn, fixedColumns, "remove it, or use classification or instruction");
        faults.Require(
            task.Kind == TaskKinds.Classification || task.Classes.Count == 0, task.Classes, $"nothing for {task.Kind}", "remove it; only classification takes class names");
        if (!isGeneric)
        {
            return;
        }

        faults.Names(task.TextColumns);
        faults.Require(task.TargetColumn is null || !string.IsNullOrWhiteSpace(task.TargetColumn), task.TargetColumn, "a column");
        faults.Require(
            task.TargetColumn is null || !task.TextColumns.Contains(task.TargetColumn), task.TargetColumn,
            "a column that is not among task.text_columns", "the answer would stand in the question");
        if (task.Kind == TaskKinds.Classification)
        {
            faults.Require(task.TextColumns.Count <= 2, task.TextColumns, "one column, or two for a pair");
            faults.Require(task.Classes.Count != 1, task.Classes, "two classes or more", "leave it out to take the classes from the training file");
            faults.Names(task.Classes);
        }
    }

    private static void CheckTemplate(TaskSpec task, RunSpecFaults faults)
    {
        if (task.PromptTemplate is not { } text)
        {
            return;
        }

        if (task.Kind != TaskKinds.Instruction)
        {
            faults.Require(false, task.PromptTemplate, $"nothing for {task.Kind}", "remove it; only instruction takes a template");
            return;
        }

        if (!PromptTemplate.TryParse(text, out var template, out var reason))
        {
            faults.Require(false, task.PromptTemplate, "a text with {column} fields", reason);
            return;
        }

        var target = task.TargetColumn ?? "answer";
        faults.Require(template.Columns.Count > 0, task.PromptTemplate, "a text with {column} fields", "name a column of the data in it");
        faults.Require(!template.Columns.Contains(target), task.PromptTemplate, $"a prompt without {{{target}}}", "the answer would stand in the question");
        faults.Require(task.TextColumns.Count == 0, task.TextColumns, "nothing beside task.prompt_template, which names its columns", "remove it");
    }
}
