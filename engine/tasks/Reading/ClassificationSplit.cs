using SplitFrozen.Tasks.Encoders;

namespace SplitFrozen.Tasks.Reading;

/// <summary>One split of a classification task. A label is a class name or, for the tasks with fixed classes, its index.</summary>
internal sealed class ClassificationSplit : SplitReader
{
    private readonly ClassificationEncoder _encoder;
    private readonly Dictionary<string, int> _classes = new(StringComparer.Ordinal);
    private readonly string _column;

    public ClassificationSplit(TaskDefinition definition, ClassificationEncoder encoder, bool evaluation)
        : base(definition, evaluation)
    {
        _encoder = encoder;
        _column = definition.Layouts[0].Target;
        var names = definition.Description.ClassNames;
        for (var i = 0; i < names.Count; i++)
        {
            _classes[names[i]] = i;
        }

        // Names win: a user's own classes may be numbers in any order.
        for (var i = 0; i < names.Count; i++)
        {
            _classes.TryAdd(i.ToString(), i);
        }
    }

    protected override string NothingLeft(int rows) => $"none of the {rows} rows has a gold label";

    protected override void Add(int line, IReadOnlyList<string> texts, string target, DataFaults faults)
    {
        if (target == Definition.NoGoldLabel)
        {
            LeaveOut();
        }
        else if (!_classes.TryGetValue(target, out var index))
        {
            faults.Add(line, _column, $"found the label '{target}'; expected {Expected()}");
        }
        else
        {
            Keep(new EncodedSample(NextId, _encoder.Encode(texts), [index], LabelsPerToken: false, index));
        }
    }

    private string Expected()
    {
        var names = Definition.Description.ClassNames;
        return names.Count <= 10
            ? string.Join(", ", names.Select((n, i) => n == i.ToString() ? n : $"{n} ({i})"))
            : $"one of the {names.Count} classes, such as {names[0]} or {names[^1]}";
    }
}
