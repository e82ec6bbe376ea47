using System.Collections.Concurrent;
using SplitFrozen.Torch;

namespace SplitFrozen.Comparison.Study;

/// <summary>Told after every cell.</summary>
/// <param name="Result">The cell.</param>
/// <param name="WasStored">Whether an earlier study had trained it.</param>
/// <param name="Done">Cells that are done.</param>
/// <param name="Total">All cells.</param>
/// <param name="Remaining">Time that the rest will take, by the mean of the cells trained so far; null before the first.</param>
public sealed record StudyProgress(CellResult Result, bool WasStored, int Done, int Total, TimeSpan? Remaining);

/// <summary>
/// Runs a study: for every task, method and partition it chooses a learning rate on the training data alone, then trains with
/// every seed. Cells that a folder has already are not trained again, so an interrupted study goes on.
/// </summary>
/// <param name="options">What to compare.</param>
/// <param name="store">Where results lie.</param>
/// <param name="parallel">Cells trained at a time, one thread each; at least 1.</param>
/// <param name="time">Clock.</param>
public sealed class StudyRunner(StudyOptions options, CellStore store, int parallel, TimeProvider time)
{
    private static readonly IReadOnlyList<PartitionChoice?> s_pooled = [null];

    private readonly CellRunner _runner = new(options, time);
    private readonly Lock _gate = new();
    private readonly List<double> _seconds = [];
    private int _done;
    private int _total;

    /// <summary>Runs it.</summary>
    /// <param name="tasks">The tasks.</param>
    /// <param name="progress">Told after every cell, one call at a time.</param>
    /// <param name="cancellationToken">Stops; cells that were under way are lost.</param>
    /// <exception cref="SplitFrozen.Tasks.DataException">A partition is impossible for the data.</exception>
    public async Task<StudyResult> RunAsync(IReadOnlyList<StudyTask> tasks, Action<StudyProgress> progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(tasks);
        ArgumentNullException.ThrowIfNull(progress);
        var series = tasks.SelectMany(Series).ToArray();
        var searches = options.LearningRates.Count == 1 ? [] : series.Select(one => one.Search(options)).ToArray();
        _total = searches.Sum(cells => cells.Length) + (series.Length * options.Seeds.Count);

        var searched = await TrainAsync([.. searches.SelectMany(cells => cells)], progress, cancellationToken).ConfigureAwait(false);
        var choices = series.Select((one, i) => one.Choose(options, searches.Length == 0 ? [] : [.. searches[i].Select(cell => searched[cell])])).ToArray();
        var finals = series.Zip(choices, (one, choice) => one.Final(options, choice.LearningRate)).ToArray();
        var trained = await TrainAsync([.. finals.SelectMany(cells => cells)], progress, cancellationToken).ConfigureAwait(false);

        var methods = choices.Zip(finals, (choice, cells) => new MethodCells(choice, [.. cells.Select(cell => trained[cell])])).ToArray();
        return new StudyResult(
            options, [.. tasks.Select(task => new TaskResult(task, [.. methods.Where((_, i) => series[i].Task == task)]))]);
    }

    private IEnumerable<CellSeries> Series(StudyTask task) =>
        from method in options.Methods
        from partition in method.HasClients() ? options.Partitions : s_pooled
        select new CellSeries(task, method, partition);

    private async Task<IReadOnlyDictionary<Cell, CellResult>> TrainAsync(Cell[] cells, Action<StudyProgress> progress, CancellationToken cancellationToken)
    {
        var results = new ConcurrentDictionary<Cell, CellResult>();
        var open = new ConcurrentQueue<Cell>();
        foreach (var cell in cells)
        {
            if (store.Read(cell.Identity(options)) is { } stored)
            {
                results[cell] = stored with { Label = cell.Label };
                Report(stored, wasStored: true, progress);
            }
            else
            {
                open.Enqueue(cell);
            }
        }

        await Task.WhenAll(Enumerable.Range(0, parallel).Select(worker => WorkAsync(worker, open, results, progress, cancellationToken))).ConfigureAwait(false);
        return results;
    }

    private async Task WorkAsync(
        int worker, ConcurrentQueue<Cell> open, ConcurrentDictionary<Cell, CellResult> results, Action<StudyProgress> progress, CancellationToken cancellationToken)
    {
        using var thread = new ComputeThread($"study-{worker}", threads: 1);
        while (open.TryDequeue(out var cell))
        {
            var result = await thread.RunAsync(() => _runner.Run(cell, cancellationToken), cancellationToken).ConfigureAwait(false);
            store.Write(result);
            results[cell] = result;
            Report(result, wasStored: false, progress);
        }
    }

    private void Report(CellResult result, bool wasStored, Action<StudyProgress> progress)
    {
        lock (_gate)
        {
            _done++;
            if (!wasStored)
            {
                _seconds.Add(result.Seconds);
            }

            TimeSpan? remaining = _seconds.Count == 0 ? null : TimeSpan.FromSeconds(_seconds.Average() * (_total - _done) / parallel);
            progress(new StudyProgress(result, wasStored, _done, _total, remaining));
        }
    }
}
