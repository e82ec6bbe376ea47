using System.IO.Hashing;
using SplitFrozen.Comparison.Methods;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;

namespace SplitFrozen.Comparison.Study;

/// <summary>One task of a study: a run spec with its model and data. The model stays the caller's.</summary>
public sealed class StudyTask
{
    /// <summary>Divides the training data for the search.</summary>
    /// <param name="spec">The run; its seed, partition and learning rate are replaced in every cell.</param>
    /// <param name="model">The base model.</param>
    /// <param name="data">Training and held-out samples.</param>
    /// <param name="options">Seed and share of the search.</param>
    public StudyTask(RunSpec spec, ModelFolder model, LoadedTask data, StudyOptions options)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        (Spec, Model) = (spec, model);
        Full = new TaskSlice(data, spec.Device.WireType);
        Search = new TaskSlice(WithoutHeldOut(data, options), spec.Device.WireType);
        _ = model.Fingerprint;
    }

    /// <summary>The run spec.</summary>
    public RunSpec Spec { get; }

    /// <summary>The base model; its fingerprint is computed, so that cells on several threads only read.</summary>
    public ModelFolder Model { get; }

    /// <summary>The data that is reported on.</summary>
    public TaskSlice Full { get; }

    /// <summary>The training data alone, divided again: what the learning rates are chosen on.</summary>
    public TaskSlice Search { get; }

    /// <summary>The headline metric; for language modelling the token accuracy, since a study generates no text.</summary>
    public string Metric => Full.Data.Task.Kind == TaskKind.LanguageModel ? "token_accuracy" : Full.Data.Task.MetricName;

    /// <summary>A random share of the training rows, drawn by the search seed, takes the place of the held-out split.</summary>
    private static LoadedTask WithoutHeldOut(LoadedTask data, StudyOptions options)
    {
        var rows = Enumerable.Range(0, data.Train.Count).ToArray();
        SeededRandom.ForStream(unchecked((ulong)options.SearchSeed), "search slice").Shuffle<int>(rows);
        var measured = Math.Clamp((int)(options.SearchShare * rows.Length), 1, rows.Length - 1);
        return new LoadedTask
        {
            Task = data.Task,
            Train = [.. rows[measured..].Order().Select((row, index) => data.Train[row] with { Id = SampleId.Training(index) })],
            Evaluation = [.. rows[..measured].Order().Select((row, index) => data.Train[row] with { Id = SampleId.Evaluation(index) })],
            TrainLeftOut = 0,
            EvaluationLeftOut = 0,
            GenerationExamples = [],
            GenerationLeftOut = 0,
        };
    }
}

/// <summary>Data with what was computed from it once.</summary>
/// <param name="data">Training samples, and those that are measured on.</param>
/// <param name="wireType">How activations travel.</param>
public sealed class TaskSlice(LoadedTask data, WireType wireType)
{
    /// <summary>The samples.</summary>
    public LoadedTask Data { get; } = data;

    /// <summary>Activations of frozen blocks, shared by all cells.</summary>
    public ActivationStore Activations { get; } = new(data, wireType);

    /// <summary>Digest of all samples in order.</summary>
    public string Digest { get; } = DigestOf(data);

    private static string DigestOf(LoadedTask data)
    {
        var hash = new XxHash128();
        Span<byte> word = stackalloc byte[16];
        foreach (var sample in data.Train.Concat(data.Evaluation))
        {
            System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(word, sample.Digest.Value);
            hash.Append(word);
        }

        return $"{data.Train.Count}-{data.Evaluation.Count}-{Convert.ToHexStringLower(hash.GetHashAndReset())}";
    }
}
