using SplitFrozen.Cli.LocalRun;
using SplitFrozen.Comparison.Study;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Tasks;

namespace SplitFrozen.Cli.Comparison;

/// <summary>The specs of a study with all that they name, opened and checked. Owns the models.</summary>
internal sealed class StudyInputs : IDisposable
{
    private readonly List<PreparedRun> _runs = [];

    /// <summary>The tasks.</summary>
    public IReadOnlyList<StudyTask> Tasks { get; private set; } = [];

    /// <summary>Opens them, and tries all partitions, so that a fault shows before anything is trained.</summary>
    /// <exception cref="InputException">With the faults of the first spec that has any, or of the study.</exception>
    public static StudyInputs Prepare(IReadOnlyList<string> specs, IReadOnlyList<string> overrides, StudyOptions options, Func<string, string?> environment)
    {
        var inputs = new StudyInputs();
        try
        {
            foreach (var spec in specs)
            {
                inputs._runs.Add(RunPreparation.Prepare(spec, overrides, environment));
            }

            inputs.Tasks = [.. inputs._runs.Select(run => new StudyTask(run.Spec, run.Model, run.Data, options))];
            var faults = inputs.Tasks.SelectMany(task => Faults(task, options)).ToArray();
            return faults.Length == 0 ? inputs : throw new InputException(faults);
        }
        catch
        {
            inputs.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _runs.ForEach(run => run.Dispose());

    private static IEnumerable<string> Faults(StudyTask task, StudyOptions options)
    {
        var name = task.Spec.Name;
        if (task.Spec.Device.WeightKind() != FrozenWeights.Float32)
        {
            yield return $"{name}: device.weights is {task.Spec.Device.Weights}, but the methods are compared over the same f32 blocks, which clients of FedLoRA and SplitLoRA train; set it to f32.";
        }

        if (options.Methods.Contains(MethodKind.SplitLora) && task.Spec.Model.Boundary == 0)
        {
            yield return $"{name}: model.boundary is 0, but splitlora needs blocks on the clients; raise it, or leave splitlora out of --methods.";
        }

        if (options.Methods.Any(method => method is MethodKind.FedLora or MethodKind.FedLoraStacking) && task.Spec.Training.Epochs % options.LocalEpochs != 0)
        {
            yield return $"{name}: --local-epochs {options.LocalEpochs} does not divide training.epochs {task.Spec.Training.Epochs}.";
        }

        foreach (var partition in options.Partitions)
        {
            if (Fault(task, partition) is { } fault)
            {
                yield return $"{name}, --partitions {partition.Text}: {fault}";
            }
        }
    }

    private static string? Fault(StudyTask task, PartitionChoice partition)
    {
        try
        {
            _ = Partitioner.Partition(task.Search.Data.Train, partition.Apply(task.Spec.Clients), seed: 0);
            return null;
        }
        catch (DataException exception)
        {
            return exception.Message;
        }
    }
}
