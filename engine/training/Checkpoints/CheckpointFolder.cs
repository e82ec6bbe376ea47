using System.Globalization;
using SplitFrozen.Training.Files;
using SplitFrozen.Training.Optimization;

namespace SplitFrozen.Training.Checkpoints;

/// <summary>
/// The checkpoints of one run, <c>checkpoint-&lt;step&gt;.safetensors</c> in a folder. Each is one file that is written whole or
/// not at all; the last two are kept, so that a damaged one leaves one to fall back on.
/// </summary>
/// <param name="path">The folder; made when the first checkpoint is written.</param>
public sealed class CheckpointFolder(string path)
{
    private const int Kept = 2;
    private const string Prefix = "checkpoint-";
    private const string Suffix = ".safetensors";

    /// <summary>The folder.</summary>
    public string Path { get; } = path;

    /// <summary>Opens the stream that a checkpoint is written to; tests let it fail.</summary>
    internal Func<string, Stream>? OpenStream { get; init; }

    /// <summary>Writes a checkpoint, flushed to the disk, and deletes the oldest beyond two.</summary>
    /// <param name="position">Where the run stands.</param>
    /// <param name="state">Parameters and moments.</param>
    /// <returns>Path of the new file.</returns>
    /// <exception cref="CheckpointException">The disk refused it; earlier checkpoints are untouched.</exception>
    public string Write(TrainingPosition position, TrainingState state)
    {
        ArgumentNullException.ThrowIfNull(position);
        ArgumentNullException.ThrowIfNull(state);
        var file = System.IO.Path.Combine(Path, Prefix + position.Step.ToString("D10", CultureInfo.InvariantCulture) + Suffix);
        try
        {
            _ = Directory.CreateDirectory(Path);
            AtomicFile.Write(file, stream => CheckpointFile.Write(stream, position, state), OpenStream);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(file, $"cannot be written: {exception.Message} Free space or fix the permissions; the run goes on from the checkpoint before.", exception);
        }

        foreach (var (_, old) in Files().Skip(Kept))
        {
            File.Delete(old);
        }

        return file;
    }

    /// <summary>
    /// Overwrites a state of the same parameters with the newest good checkpoint, or returns null if there is none at all.
    /// A damaged file is passed over with a notice; one of another run is refused.
    /// </summary>
    /// <param name="state">Gets the parameters and moments. Unchanged unless a checkpoint is loaded.</param>
    /// <param name="specificationHash">Hash that the checkpoint must carry.</param>
    /// <param name="notice">Told about damaged files.</param>
    /// <exception cref="CheckpointException">All checkpoints are damaged, or the newest good one belongs to another run.</exception>
    public TrainingPosition? ReadLatest(TrainingState state, string specificationHash, Action<string>? notice = null)
    {
        ArgumentNullException.ThrowIfNull(state);
        var content = FindLatest(specificationHash, notice);
        content?.LoadInto(state);
        return content?.Position;
    }

    /// <summary><see cref="ReadLatest(TrainingState, string, Action{string}?)"/> into one optimiser.</summary>
    public TrainingPosition? ReadLatest(AdamW optimizer, string specificationHash, Action<string>? notice = null) =>
        Into(optimizer, state => ReadLatest(state, specificationHash, notice));

    /// <summary><see cref="Write(TrainingPosition, TrainingState)"/> of one optimiser.</summary>
    public string Write(TrainingPosition position, AdamW optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        using var state = optimizer.State();
        return Write(position, state);
    }

    /// <summary>The position of the checkpoint that <see cref="ReadLatest(TrainingState, string, Action{string}?)"/> would load, without an optimiser.</summary>
    /// <param name="specificationHash">Hash that the checkpoint must carry.</param>
    /// <param name="notice">Told about damaged files.</param>
    /// <exception cref="CheckpointException">All checkpoints are damaged, or the newest good one belongs to another run.</exception>
    public TrainingPosition? ReadLatestPosition(string specificationHash, Action<string>? notice = null) => FindLatest(specificationHash, notice)?.Position;

    private CheckpointFile? FindLatest(string specificationHash, Action<string>? notice)
    {
        CheckpointException? last = null;
        foreach (var (_, file) in Files())
        {
            CheckpointFile content;
            try
            {
                content = CheckpointFile.Read(file);
            }
            catch (CheckpointException exception)
            {
                last = exception;
                notice?.Invoke($"{exception.Message} Trying the checkpoint before it.");
                continue;
            }

            if (content.Position.SpecificationHash != specificationHash)
            {
                throw new CheckpointException(file, "was written by a run with other settings; use another run folder, or delete its checkpoints to start anew.");
            }

            return content;
        }

        return last is null ? null : throw new CheckpointException(Path, $"no checkpoint can be read; delete them to start anew. The oldest: {last.Message}", last);
    }

    /// <summary>Loads one checkpoint into an optimiser with the same parameters.</summary>
    /// <param name="file">The checkpoint.</param>
    /// <param name="optimizer">Gets the parameters and moments.</param>
    /// <param name="specificationHash">Hash that the checkpoint must carry.</param>
    /// <exception cref="CheckpointException">The file is damaged or belongs to another run.</exception>
    public static TrainingPosition ReadFile(string file, AdamW optimizer, string specificationHash)
    {
        var content = CheckpointFile.Read(file);
        if (content.Position.SpecificationHash != specificationHash)
        {
            throw new CheckpointException(file, "was written by another run than the one in its folder.");
        }

        return Into(optimizer, state =>
        {
            content.LoadInto(state);
            return content.Position;
        })!;
    }

    /// <summary>The checkpoints in the folder, newest first, with their steps.</summary>
    public IReadOnlyList<(long Step, string File)> Files()
    {
        if (!Directory.Exists(Path))
        {
            return [];
        }

        var found = new List<(long Step, string File)>();
        foreach (var file in Directory.EnumerateFiles(Path, Prefix + "*" + Suffix))
        {
            var name = System.IO.Path.GetFileName(file)[Prefix.Length..^Suffix.Length];
            if (long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var step))
            {
                found.Add((step, file));
            }
        }

        found.Sort((a, b) => b.Step.CompareTo(a.Step));
        return found;
    }

    /// <summary>Where a checkpoint was loaded, the optimiser goes on from it.</summary>
    private static TrainingPosition? Into(AdamW optimizer, Func<TrainingState, TrainingPosition?> read)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        using var state = optimizer.State();
        var position = read(state);
        if (position is not null)
        {
            optimizer.Restore(state);
        }

        return position;
    }
}
