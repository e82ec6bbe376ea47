using System.Text.RegularExpressions;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>
/// Checks a run spec as a whole: every impossible value and every impossible combination, all at once. Reads no file; whether
/// one exists is asked of the caller.
/// </summary>
public static partial class RunSpecValidator
{
    private const int MostThreads = 1024;
    private const int MostStages = 64;
    private const int MostClients = 100_000;
    private const int SmallestMessage = 4 << 10;
    private const int LargestMessage = 16 << 20;
    private const long SmallestCache = 1L << 20;

    /// <summary>
    /// The faults that can be seen without the model, in the order of the keys; empty when there are none. Paths are handed to
    /// <paramref name="fileExists"/> and <paramref name="folderExists"/> as they stand in the spec.
    /// </summary>
    public static IReadOnlyList<RunSpecFault> Validate(RunSpec spec, Func<string, bool> fileExists, Func<string, bool> folderExists)
    {
        var faults = new RunSpecFaults();
        faults.Require(
            RunName().IsMatch(spec.Name), spec.Name, "1 to 64 letters, digits, '-' or '_'", "the run folder is named after it");
        Check(spec.Model, folderExists, faults);
        Check(spec.Lora, faults);
        TaskSpecChecks.Check(spec.Task, ownData: spec.Clients.Partition == ClientPartitions.Devices, fileExists, faults);
        Check(spec.Clients, spec.Model, spec.Task, faults);
        Check(spec.Device, faults);
        Check(spec.Training, spec.Model.Boundary, faults);
        Check(spec.Cache, faults);
        return faults.All;
    }

    /// <summary>
    /// The faults that only the base model shows: a boundary beyond its blocks, unknown LoRA targets, lengths over its positions. To be
    /// added to those of <see cref="Validate"/>; none is reported by both.
    /// </summary>
    public static IReadOnlyList<RunSpecFault> ValidateAgainstModel(RunSpec spec, ModelLimits limits)
    {
        var faults = new RunSpecFaults();
        faults.Require(
            spec.Model.Boundary < limits.Layers, spec.Model.Boundary,
            $"less than the model's {limits.Layers} blocks", "at least one block must be left to train");
        for (var i = 0; i < spec.Lora.Targets.Count; i++)
        {
            var target = spec.Lora.Targets[i];
            if (!string.IsNullOrWhiteSpace(target) && !limits.LinearLayers.Any(layer => Names(layer, target)))
            {
                faults.Add($"lora.targets[{i}]", target, $"a linear layer of the model: {string.Join(", ", limits.LinearLayers)}", "");
            }
        }

        faults.Require(
            spec.Task.MaxLength <= limits.Positions, spec.Task.MaxLength, $"at most the model's {limits.Positions} positions", "lower it");
        faults.Require(
            spec.Task.GenerateSamples <= 0 || spec.Task.GenerateTokens < limits.Positions, spec.Task.GenerateTokens,
            $"less than the model's {limits.Positions} positions", "leave room for the prompt");
        return faults.All;
    }

    /// <summary>
    /// The faults of a spec that one process is to run by itself. To be added to those of <see cref="Validate"/>; none is reported by both.
    /// </summary>
    public static IReadOnlyList<RunSpecFault> ValidateForOneProcess(RunSpec spec)
    {
        var faults = new RunSpecFaults();
        faults.Require(
            spec.Clients.Partition != ClientPartitions.Devices, spec.Clients.Partition, $"one of {string.Join(", ", ClientPartitions.Simulated)} in one process",
            "devices with data of their own are device workers: hand the run to a coordinator with submit");
        return faults.All;
    }

    private static bool Names(string layer, string target) =>
        layer == target || layer.EndsWith("." + target, StringComparison.Ordinal);

    private static void Check(ModelSpec model, Func<string, bool> folderExists, RunSpecFaults faults)
    {
        if (model.Path.Length == 0)
        {
            faults.Require(false, model.Path, "the folder of a base model");
        }
        else
        {
            faults.Require(folderExists(model.Path), model.Path, "a folder that exists", "correct the path, or fetch or convert the model");
        }

        faults.Range(model.Boundary, 0, int.MaxValue);
    }

    private static void Check(LoraSpec lora, RunSpecFaults faults)
    {
        faults.Range(lora.Rank, 1, int.MaxValue);
        faults.Positive(lora.Alpha);
        faults.Fraction(lora.Dropout);
        faults.Require(
            lora.Targets.Count > 0, lora.Targets, "one linear layer or more", "name them, such as c_attn (GPT-2) or q_proj and v_proj (Llama)");
        faults.Names(lora.Targets);
    }

    private static void Check(ClientsSpec clients, ModelSpec model, TaskSpec task, RunSpecFaults faults)
    {
        faults.Range(clients.Count, 1, MostClients);
        var ownData = clients.Partition == ClientPartitions.Devices;
        if (task.TrainLimit is { } rows and > 0 && !ownData)
        {
            faults.Require(
                clients.Count <= rows, clients.Count, $"at most task.train_limit, {rows} rows", "every client needs a row");
        }

        faults.OneOf(clients.Partition, ClientPartitions.All);
        faults.Positive(clients.Alpha);
        faults.Positive(clients.Exponent);
        faults.Range(clients.ClassesPerClient, 1, int.MaxValue);
        faults.OneOf(clients.Missing, ["stop", "complete"]);
        if (clients.Partition == ClientPartitions.Classes)
        {
            CheckClasses(clients, task, faults);
        }

        var mostCuts = ownData ? 1 : clients.Count;
        faults.Require(
            clients.Cuts.Count <= mostCuts, clients.Cuts,
            ownData ? "at most one cut, that of all devices" : $"at most one cut for each of the {clients.Count} clients", "remove the rest");
        for (var i = 0; i < clients.Cuts.Count; i++)
        {
            var cut = clients.Cuts[i];
            if (cut < 0 || cut > model.Boundary)
            {
                faults.Add($"clients.cuts[{i}]", cut, $"a cut from 0 to model.boundary, {model.Boundary}", "lower it or raise the boundary");
            }
        }
    }

    private static void CheckClasses(ClientsSpec clients, TaskSpec task, RunSpecFaults faults)
    {
        if (TaskKinds.IsLanguageModel(task.Kind))
        {
            faults.Require(false, clients.Partition, $"iid or zipf for {task.Kind}, which has no classes");
            return;
        }

        int? known = TaskKinds.FixedClassCount(task.Kind) ?? (task.Classes.Count > 0 ? task.Classes.Count : null);
        if (known is not { } classes || clients.ClassesPerClient < 1 || clients.Count < 1)
        {
            return;
        }

        faults.Require(
            clients.ClassesPerClient <= classes, clients.ClassesPerClient, $"at most the {classes} classes of the task");
        faults.Require(
            (long)clients.ClassesPerClient * clients.Count >= classes, clients.ClassesPerClient,
            $"at least {(classes + clients.Count - 1) / clients.Count}, so that {clients.Count} clients hold all {classes} classes",
            "raise it or clients.count");
    }

    private static void Check(DeviceSpec device, RunSpecFaults faults)
    {
        faults.Range(device.MicroBatch, 1, int.MaxValue);
        faults.Require(Enum.IsDefined(device.WireType), device.WireType, $"one of {string.Join(", ", Enum.GetValues<WireType>().Select(w => w.Name()))}");
        faults.OneOf(device.Weights, FrozenWeightNames.All);
        faults.Range(device.MessageBytes, SmallestMessage, LargestMessage, "1 to 4 MiB is best; brokers refuse more than 16 MiB");
        faults.Range(device.Threads, 1, MostThreads);
    }

    private static void Check(TrainingSpec training, int boundary, RunSpecFaults faults)
    {
        faults.Range(training.Epochs, 1, int.MaxValue);
        faults.Range(training.BatchSize, 1, int.MaxValue);
        faults.Require(
            training.MicroBatch >= 0 && (training.MicroBatch <= training.BatchSize || training.BatchSize < 1), training.MicroBatch,
            $"0 (the batch size) or 1 to training.batch_size, {training.BatchSize}");
        faults.OneOf(training.Order, ["planned", "available"]);
        faults.Positive(training.LearningRate, "LoRA usually trains between 1e-4 and 1e-3");
        faults.OneOf(training.Schedule, ["constant", "linear", "cosine"]);
        faults.Fraction(training.WarmupRatio, "it is a share of all steps");
        faults.NotNegative(training.WeightDecay);
        faults.Fraction(training.Beta1);
        faults.Fraction(training.Beta2);
        faults.Positive(training.Epsilon);
        faults.NotNegative(training.MaxGradientNorm, "0 turns clipping off");
        faults.Range(training.CheckpointEverySteps, 1, int.MaxValue);
        faults.Range(training.Threads, 1, MostThreads);
        CheckStages(training, boundary, faults);
    }

    private static void CheckStages(TrainingSpec training, int boundary, RunSpecFaults faults)
    {
        faults.Range(training.Stages, 1, MostStages);
        faults.Range(training.Replicas, 1, MostStages);
        faults.OneOf(training.Pipeline, ["gpipe", "1f1b", "zb"]);
        faults.Require(
            training.StageBoundaries.Prepend(boundary).Zip(training.StageBoundaries).All(pair => pair.First < pair.Second), training.StageBoundaries,
            $"ascending blocks above model.boundary, {boundary}", "each is the first block of a stage, the lowest stage left out");
    }

    private static void Check(CacheSpec cache, RunSpecFaults faults)
    {
        faults.Require(!string.IsNullOrWhiteSpace(cache.Directory), cache.Directory, "a folder for the embedded cache");
        faults.Require(cache.MaxBytes >= SmallestCache, cache.MaxBytes, $"at least {SmallestCache} bytes");
    }

    [GeneratedRegex(@"\A[A-Za-z0-9_-]{1,64}\z", RegexOptions.CultureInvariant)]
    private static partial Regex RunName();
}
