using System.Text;

namespace SplitFrozen.Tasks;

/// <summary>One thing wrong in a data file.</summary>
/// <param name="Line">Line of the file, counted from 1; null when the fault is not in one line.</param>
/// <param name="Field">The column, or the path in the run spec; null when the fault is not in one field.</param>
/// <param name="What">What was found, what was expected, and what to do.</param>
public sealed record DataFault(int? Line, string? Field, string What)
{
    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder();
        if (Line is { } line)
        {
            text.Append($"line {line}, ");
        }

        if (Field is { } field)
        {
            text.Append($"field '{field}', ");
        }

        if (text.Length > 0)
        {
            text.Length -= 2;
            text.Append(": ");
        }

        return text.Append(What).ToString();
    }
}

/// <summary>Data that cannot be used. The message names the file and its first faults, each with line, field and what to do.</summary>
public sealed class DataException : Exception
{
    /// <summary>Most faults that one message lists.</summary>
    public const int ListedFaults = 10;

    /// <summary>A file with one or more faults; <paramref name="faultCount"/> is the number of all, listed or not.</summary>
    public DataException(string file, IReadOnlyList<DataFault> faults, int faultCount, Exception? inner = null)
        : base(Describe(file, faults, faultCount), inner)
    {
        File = file;
        Faults = faults;
        FaultCount = faultCount;
    }

    /// <summary>A file with one fault.</summary>
    public DataException(string file, int? line, string? field, string what, Exception? inner = null)
        : this(file, [new DataFault(line, field, what)], 1, inner)
    {
    }

    /// <summary>The file, as the user wrote it or where it was looked for; <c>run spec</c> for a fault in the spec.</summary>
    public string File { get; }

    /// <summary>The first faults, at most <see cref="ListedFaults"/>.</summary>
    public IReadOnlyList<DataFault> Faults { get; }

    /// <summary>Number of all faults found.</summary>
    public int FaultCount { get; }

    private static string Describe(string file, IReadOnlyList<DataFault> faults, int count)
    {
        if (count == 1)
        {
            return $"{file}: {faults[0]}";
        }

        var heading = count > faults.Count ? $"{file}: {count} faults, the first {faults.Count}:" : $"{file}: {count} faults:";
        return string.Join("\n  ", faults.Select(f => f.ToString()).Prepend(heading));
    }
}

/// <summary>Gathers the faults of one file: counts all, keeps the first ones.</summary>
internal sealed class DataFaults(string file)
{
    private readonly List<DataFault> _first = [];
    private int _count;

    public string File => file;

    public int Count => _count;

    public void Add(int? line, string? field, string what)
    {
        _count++;
        if (_first.Count < DataException.ListedFaults)
        {
            _first.Add(new DataFault(line, field, what));
        }
    }

    public void ThrowIfAny()
    {
        if (_count > 0)
        {
            throw new DataException(file, _first, _count);
        }
    }
}
