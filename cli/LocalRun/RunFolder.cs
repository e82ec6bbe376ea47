using System.Text.Json;
using System.Text.Json.Serialization;
using SplitFrozen.Cli.Specification;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>Where a run stands on disk.</summary>
internal enum RunState
{
    /// <summary>Nothing there yet.</summary>
    New,

    /// <summary>Started and not finished.</summary>
    Interrupted,

    /// <summary>At its end; the adapter is there.</summary>
    Finished,
}

/// <summary>What decides a run besides its spec, and whether it is finished; kept in <c>run.json</c>.</summary>
/// <param name="RunId">Id of the run in messages and in the ledger.</param>
/// <param name="ModelFingerprint">Fingerprint of the base model.</param>
/// <param name="DataDigest">Digest of all encoded samples in order.</param>
/// <param name="ClassNames">Classes of the task by index; empty for language modelling.</param>
/// <param name="Finished">True once the adapter and the report are written.</param>
internal sealed record RunRecord(string RunId, string ModelFingerprint, string DataDigest, IReadOnlyList<string> ClassNames, bool Finished);

/// <summary>The folder of one run and the names in it. Held by one process at a time.</summary>
internal sealed class RunFolder : IDisposable
{
    private static readonly string[] s_contents = ["run.json", "metrics.jsonl", "plot.svg", "report.md", "spec.yaml", "checkpoints", "adapter"];

    /// <summary>Settings that may change between two processes of a run: they do not change its result.</summary>
    private static readonly string[] s_free = ["cache.directory", "cache.max_bytes", "training.checkpoint_every_steps"];

    private readonly FileStream _lock;

    private RunFolder(string path, FileStream held) => (Path, _lock) = (path, held);

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The resolved spec.</summary>
    public string SpecFile => In("spec.yaml");

    /// <summary>All events.</summary>
    public string MetricsFile => In("metrics.jsonl");

    /// <summary>Loss and held-out metric.</summary>
    public string PlotFile => In("plot.svg");

    /// <summary>The report.</summary>
    public string ReportFile => In("report.md");

    /// <summary>The trainer's checkpoint.</summary>
    public string Checkpoints => In("checkpoints");

    /// <summary>The adapter in PEFT form.</summary>
    public string Adapter => In("adapter");

    private string RecordFile => In("run.json");

    /// <summary>
    /// Tells where the run stands, and refuses a folder that belongs to something else. Changes nothing.
    /// </summary>
    /// <exception cref="InputException">The folder holds another run or is no run folder.</exception>
    public static RunState Inspect(string path, RunSpec spec, RunRecord record, bool fresh)
    {
        if (!Directory.Exists(path) || !Directory.EnumerateFileSystemEntries(path).Any(entry => System.IO.Path.GetFileName(entry) != "run.lock"))
        {
            return File.Exists(path) ? throw new InputException($"{path}: this is a file; name a folder with --out.") : RunState.New;
        }

        var specFile = System.IO.Path.Combine(path, "spec.yaml");
        var recordFile = System.IO.Path.Combine(path, "run.json");
        if (!File.Exists(specFile) || !File.Exists(recordFile))
        {
            throw new InputException($"{path}: the folder is not empty and is no run folder; name another with --out.");
        }

        if (fresh)
        {
            return RunState.New;
        }

        var stored = SpecReader.ReadFile(specFile, [], Environment.GetEnvironmentVariable).Spec;
        var differences = Differences(stored, spec);
        if (differences.Count > 0)
        {
            throw new InputException(
            [
                $"{path}: the folder holds a run with another spec. Name another folder with --out, or start over with --fresh. It differs in:",
                .. differences.Select(difference => "  " + difference),
            ]);
        }

        var earlier = ReadRecord(recordFile);
        if (earlier.ModelFingerprint != record.ModelFingerprint || earlier.DataDigest != record.DataDigest)
        {
            var what = earlier.ModelFingerprint != record.ModelFingerprint ? "the base model's files" : "the data files or the tokenizer";
            throw new InputException($"{path}: {what} changed since the run started. Name another folder with --out, or start over with --fresh.");
        }

        return earlier.Finished ? RunState.Finished : RunState.Interrupted;
    }

    /// <summary>The resolved spec and the record of the run in a folder.</summary>
    /// <exception cref="InputException">The folder is no run folder.</exception>
    public static (RunSpec Spec, RunRecord Record) Read(string path)
    {
        var (spec, record) = (System.IO.Path.Combine(path, "spec.yaml"), System.IO.Path.Combine(path, "run.json"));
        return File.Exists(spec) && File.Exists(record)
            ? (SpecReader.ReadFile(spec, [], Environment.GetEnvironmentVariable).Required(), ReadRecord(record))
            : throw new InputException($"{path}: this is no run folder; it needs spec.yaml and run.json.");
    }

    /// <summary>Makes the folder (clearing an earlier run when <paramref name="fresh"/>), and holds it until disposed.</summary>
    /// <exception cref="InputException">Another process works on the run, or the folder cannot be written.</exception>
    public static RunFolder Open(string path, RunSpec spec, RunRecord record, RunState state, bool fresh)
    {
        try
        {
            Directory.CreateDirectory(path);
            var folder = new RunFolder(path, Hold(path));
            if (fresh)
            {
                folder.Clear();
            }

            File.WriteAllText(folder.SpecFile, SpecWriter.Write(spec));
            if (state == RunState.New)
            {
                folder.Write(record);
            }

            return folder;
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new InputException($"{path}: the run folder cannot be written: {exception.Message}", exception);
        }
    }

    /// <summary>The record of the run in a folder.</summary>
    public RunRecord ReadRecord() => ReadRecord(RecordFile);

    /// <summary>Marks the run as finished.</summary>
    public void MarkFinished() => Write(ReadRecord() with { Finished = true });

    /// <inheritdoc/>
    public void Dispose()
    {
        _lock.Dispose();
        File.Delete(In("run.lock"));
    }

    private static RunRecord ReadRecord(string file) =>
        JsonSerializer.Deserialize(File.ReadAllText(file), RunRecordJson.Default.RunRecord)
        ?? throw new InputException($"{file}: the file is empty; start over with --fresh.");

    private static FileStream Hold(string path)
    {
        try
        {
            return new FileStream(System.IO.Path.Combine(path, "run.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception)
        {
            throw new InputException($"{path}: another process works on this run; wait for it, or name another folder with --out.", exception);
        }
    }

    private static List<string> Differences(RunSpec stored, RunSpec wanted)
    {
        var (before, after) = (SpecWriter.Flatten(stored), SpecWriter.Flatten(wanted));
        return
        [
            .. before.Keys.Union(after.Keys)
                .Where(path => !s_free.Contains(path) && before.GetValueOrDefault(path) != after.GetValueOrDefault(path))
                .Select(path => $"{path}: the run has {before.GetValueOrDefault(path) ?? "nothing"}, you asked for {after.GetValueOrDefault(path) ?? "nothing"}"),
        ];
    }

    private void Write(RunRecord record)
    {
        var temporary = RecordFile + ".new";
        File.WriteAllText(temporary, JsonSerializer.Serialize(record, RunRecordJson.Default.RunRecord));
        File.Move(temporary, RecordFile, overwrite: true);
    }

    private void Clear()
    {
        foreach (var name in s_contents)
        {
            if (Directory.Exists(In(name)))
            {
                Directory.Delete(In(name), recursive: true);
            }
            else
            {
                File.Delete(In(name));
            }
        }
    }

    private string In(string name) => System.IO.Path.Combine(Path, name);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(RunRecord))]
internal sealed partial class RunRecordJson : JsonSerializerContext;
