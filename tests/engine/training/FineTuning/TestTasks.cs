using SplitFrozen.Tasks;

namespace SplitFrozen.Training.Tests.FineTuning;

internal sealed class ThreeClasses : ITask
{
    public string Name => "three";

    public TaskKind Kind => TaskKind.Classification;

    public int Classes => 3;

    public IReadOnlyList<string> ClassNames => ["a", "b", "c"];

    public int? PositiveClass => null;

    public string MetricName => "accuracy";
}

internal sealed class NextToken : ITask
{
    public string Name => "next";

    public TaskKind Kind => TaskKind.LanguageModel;

    public int Classes => 0;

    public IReadOnlyList<string> ClassNames => [];

    public int? PositiveClass => null;

    public string MetricName => "loss";
}
