using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tasks;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A task over made-up token sequences.</summary>
internal sealed class TestTask(TaskKind kind, int vocabulary) : ITask
{
    public string Name => "test";

    public TaskKind Kind => kind;

    public int Classes => kind == TaskKind.Classification ? 2 : 0;

    public IReadOnlyList<string> ClassNames => kind == TaskKind.Classification ? ["even", "odd"] : [];

    public int? PositiveClass => null;

    public string MetricName => kind == TaskKind.Classification ? "accuracy" : "loss";

    /// <summary>Samples of three to ten tokens; the class is told by the last token, the language-model labels are the next tokens of the second half.</summary>
    public EncodedSample[] Samples(int count, bool heldOut, ulong seed)
    {
        var random = SeededRandom.ForStream(seed, heldOut ? "held-out" : "training");
        return [.. Enumerable.Range(0, count).Select(row => Sample(heldOut ? SampleId.Evaluation(row) : SampleId.Training(row), random))];
    }

    private EncodedSample Sample(SampleId id, SeededRandom random)
    {
        int[] tokens = [.. Enumerable.Range(0, 3 + random.NextInt32(8)).Select(_ => random.NextInt32(vocabulary))];
        if (kind == TaskKind.Classification)
        {
            return new EncodedSample(id, tokens, [tokens[^1] % 2], false, tokens[^1] % 2);
        }

        var labels = tokens.Select((_, t) => t + 1 < tokens.Length && t >= tokens.Length / 2 ? tokens[t + 1] : EncodedSample.Ignored);
        return new EncodedSample(id, tokens, [.. labels], true, 0);
    }
}
