using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Events;

/// <summary>Appends every event to <c>metrics.jsonl</c>.</summary>
internal sealed class MetricsFile : IRunObserver, IDisposable
{
    private readonly StreamWriter _writer;

    public MetricsFile(string path)
    {
        TruncateTornLine(path);
        _writer = new StreamWriter(path, append: true) { AutoFlush = true };
    }

    /// <summary>The events of an earlier process; none where there is no file.</summary>
    public static IEnumerable<RunEvent> Read(string path) =>
        File.Exists(path) ? File.ReadLines(path).Select(RunEvent.FromJson).OfType<RunEvent>() : [];

    /// <inheritdoc/>
    public void Observe(RunEvent runEvent) => _writer.WriteLine(runEvent.ToJson());

    /// <inheritdoc/>
    public void Dispose() => _writer.Dispose();

    /// <summary>A kill may leave half a line; the next event must not be appended to it.</summary>
    private static void TruncateTornLine(string path)
    {
        if (!File.Exists(path))
        {
            return;
        }

        using var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        var end = stream.Length;
        while (end > 0)
        {
            stream.Position = end - 1;
            if (stream.ReadByte() == '\n')
            {
                break;
            }

            end--;
        }

        stream.SetLength(end);
    }
}
