using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Devices;
using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Comparison.Study;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Cli.Comparison;

/// <summary>A task of a study, dealt in one way, as the cost model and the simulation of a fleet take it.</summary>
internal static class StudyWorkload
{
    /// <summary>The workload of a task on a partition, as the first seed deals it.</summary>
    public static Workload Of(StudyTask task, PartitionChoice partition, StudyOptions options)
    {
        var spec = task.Spec;
        var data = task.Full.Data;
        var clients = Partitioner.Partition(data.Train, partition.Apply(spec.Clients), unchecked((ulong)options.Seeds[0]));
        return new Workload
        {
            Model = task.Model.Config,
            Lora = RunModel.Lora(spec.Lora),
            Head = data.Task.Kind == TaskKind.LanguageModel ? HeadKind.LanguageModel : HeadKind.Classification,
            Classes = Math.Max(2, data.Task.Classes),
            Clients = [.. clients.Select(rows => rows.Select(row => Size(data.Train[row])).ToArray())],
            BatchSize = spec.Training.BatchSize,
            Epochs = spec.Training.Epochs,
            Boundary = spec.Model.Boundary,
            WireType = spec.Device.WireType,
            AveragingSteps = options.AveragingInterval,
            MessageBytes = spec.Device.MessageBytes,
            DeviceMicroBatch = spec.Device.MicroBatch,
        };
    }

    /// <summary>The heterogeneous fleet with a device for each client: its eight, again and again.</summary>
    public static SimulatedFleet Fleet(int clients)
    {
        var devices = DevicePresets.HeterogeneousFleet.Devices;
        return new SimulatedFleet([.. Enumerable.Range(0, clients).Select(client => devices[client % devices.Count])], DevicePresets.Server);
    }

    private static SampleSize Size(EncodedSample sample) => new(sample.Tokens.Length, sample.Labels.Count(label => label != EncodedSample.Ignored));
}
