namespace SplitFrozen.Tasks.Reading;

/// <summary>Finds the class names in a training file that the spec does not name.</summary>
internal static class ClassDiscovery
{
    /// <summary>
    /// Most classes taken from a file. More than this is nearly always a wrong column, and would cost a head as wide.
    /// </summary>
    private const int MostClasses = 1000;

    /// <summary>The distinct labels of the whole file: by value where all are whole numbers, else in ordinal order.</summary>
    /// <exception cref="DataException">The file is faulty, has fewer than two labels, or more than a thousand.</exception>
    public static IReadOnlyList<string> Find(string file, TaskDefinition definition)
    {
        var faults = new DataFaults(file);
        var column = definition.Layouts[0].Target;
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var row in RowFile.Read(faults, definition.ColumnsWithoutHeader))
        {
            // A row without the label is reported, with its line, when the samples are read.
            if (row.Values.TryGetValue(column, out var label) && !string.IsNullOrWhiteSpace(label) && names.Add(label) && names.Count > MostClasses)
            {
                throw new DataException(
                    file, row.Line, column, $"more than {MostClasses} different labels; is this the label column (task.target_column)?");
            }
        }

        if (names.Count == 1)
        {
            faults.ThrowIfAny();
            throw new DataException(
                file, null, column, $"every row has the label '{names.First()}'; classification needs two classes or more (or name them in task.classes)");
        }

        return names.All(n => long.TryParse(n, out _)) ? [.. names.OrderBy(long.Parse).ThenBy(n => n, StringComparer.Ordinal)] : [.. names.Order(StringComparer.Ordinal)];
    }
}
