using SplitFrozen.Tasks.Reading;

namespace SplitFrozen.Tasks;

/// <summary>Reads one text column of a table without its labels, for pretraining on the text of a task.</summary>
public static class TextColumn
{
    /// <summary>
    /// The texts of <paramref name="column"/> in file order, blank ones left out. The file is <c>.tsv</c> with a header,
    /// <c>.csv</c> or <c>.jsonl</c>.
    /// </summary>
    /// <exception cref="DataException">The file is missing or faulty, or a row has no such column; raised while reading.</exception>
    public static IEnumerable<string> Read(string file, string column)
    {
        var faults = new DataFaults(file);
        foreach (var row in RowFile.Read(faults))
        {
            if (!row.Values.TryGetValue(column, out var text))
            {
                throw new DataException(file, row.Line, column, $"the row has no such column; it has {string.Join(", ", row.Values.Keys)}");
            }

            if (!string.IsNullOrWhiteSpace(text))
            {
                yield return text.Trim();
            }
        }

        faults.ThrowIfAny();
    }
}
