using SplitFrozen.Comparison.Methods.Tests;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Comparison.Study.Tests;

/// <summary>A small study, and cells of it.</summary>
internal static class StudyCases
{
    public static StudyOptions Options { get; } = new()
    {
        Methods = Enum.GetValues<MethodKind>(),
        Partitions = [Partition("iid"), Partition("classes:1")],
        Seeds = [1, 2],
        LearningRates = [0.002, 0.01],
        AveragingInterval = 4,
    };

    public static PartitionChoice Partition(string text) => PartitionChoice.TryParse(text, out var choice) ? choice! : throw new ArgumentException($"{text} is no partition.", nameof(text));

    public static StudyTask Task(SmallProblem small, RunSpec? spec = null, StudyOptions? options = null) =>
        new(spec ?? SmallProblem.Spec with { Clients = new ClientsSpec { Count = 3 } }, small.Model, small.Data, options ?? Options);

    public static Cell Cell(StudyTask task, MethodKind method = MethodKind.SplitFrozen) =>
        new(task, method, method.HasClients() ? Partition("iid") : null, Seed: 1, LearningRate: 0.01, IsSearch: false);

    public static CellResult Result(Cell cell, double accuracy, double loss, string? error = null) => new()
    {
        Label = cell.Label,
        Identity = cell.Identity(Options),
        Epochs = error is null ? [new(0, null, Metrics(0.1, 9)), new(1, 1.5, Metrics(accuracy, loss))] : [],
        Error = error,
    };

    private static Dictionary<string, double> Metrics(double accuracy, double loss) => new() { ["accuracy"] = accuracy, ["loss"] = loss };
}
