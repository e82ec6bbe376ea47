using System.Diagnostics.CodeAnalysis;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Tasks.Reading;

/// <summary>Reads one split of a task: rows to samples, with the faults of the file gathered.</summary>
internal abstract class SplitReader(TaskDefinition definition, bool evaluation)
{
    private readonly List<EncodedSample> _samples = [];

    public IReadOnlyList<EncodedSample> Samples => _samples;

    public int LeftOut { get; private set; }

    protected TaskDefinition Definition => definition;

    /// <summary>The id of the next sample that is kept.</summary>
    protected SampleId NextId => evaluation ? SampleId.Evaluation(_samples.Count) : SampleId.Training(_samples.Count);

    /// <summary>Reads the first <paramref name="limit"/> rows of the file, or all.</summary>
    /// <exception cref="DataException">The file has faults, or no sample is left.</exception>
    public void Read(string file, int? limit)
    {
        var faults = new DataFaults(file);
        ColumnLayout? layout = null;
        var rows = 0;
        foreach (var row in RowFile.Read(faults, definition.ColumnsWithoutHeader).Take(limit ?? int.MaxValue))
        {
            rows++;
            layout ??= ChooseLayout(file, row);
            if (TryTake(row, layout, faults, out var texts, out var target))
            {
                Add(row.Line, texts, target, faults);
            }
        }

        faults.ThrowIfAny();
        if (_samples.Count == 0)
        {
            throw new DataException(file, null, null, rows == 0 ? "the file has no rows" : NothingLeft(rows));
        }
    }

    /// <summary>What to tell a user all of whose rows were left out.</summary>
    protected abstract string NothingLeft(int rows);

    /// <summary>Encodes a row: a sample, or null where the row is faulty (and a fault was added).</summary>
    protected abstract void Add(int line, IReadOnlyList<string> texts, string target, DataFaults faults);

    protected void Keep(EncodedSample sample) => _samples.Add(sample);

    protected void LeaveOut() => LeftOut++;

    private ColumnLayout ChooseLayout(string file, DataRow row)
    {
        var layout = definition.Layouts.MaxBy(l => l.All.Count(row.Values.ContainsKey))!;
        if (RowFile.HasHeader(file) && !layout.All.All(row.Values.ContainsKey))
        {
            var expected = string.Join("; or ", definition.Layouts.Select(l => string.Join(", ", l.All)));
            throw new DataException(file, 1, null, $"found the columns {string.Join(", ", row.Values.Keys)}; expected {expected}");
        }

        return layout;
    }

    private bool TryTake(
        DataRow row, ColumnLayout layout, DataFaults faults, [NotNullWhen(true)] out IReadOnlyList<string>? texts, [NotNullWhen(true)] out string? target)
    {
        var missing = layout.All.Where(c => !row.Values.ContainsKey(c)).ToList();
        foreach (var column in missing)
        {
            faults.Add(row.Line, column, "missing, or neither a text nor a number; give it a value or remove the row");
        }

        (texts, target) = (null, null);
        if (missing.Count > 0)
        {
            return false;
        }

        (texts, target) = ([.. layout.Texts.Select(c => row.Values[c])], row.Values[layout.Target]);
        var before = faults.Count;
        if (definition.Template is null)
        {
            foreach (var (column, text) in layout.Texts.Zip(texts))
            {
                RequireText(row.Line, column, text, faults);
            }
        }

        RequireText(row.Line, layout.Target, target, faults);
        return faults.Count == before;
    }

    private static void RequireText(int line, string column, string text, DataFaults faults)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            faults.Add(line, column, "empty; give it a text or remove the row");
        }
    }
}
