using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tasks.Demo;
using SplitFrozen.TestServers;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Bench;

/// <summary>A run of the shipped model on made-up sentences with one client, as a spec for the services and as a workload for the simulator.</summary>
/// <param name="Name">What binds it.</param>
/// <param name="Boundary">Frozen boundary.</param>
/// <param name="Epochs">Epochs.</param>
/// <param name="Rank">Rank of the adapters.</param>
/// <param name="DataSets">How many sets of 2,000 sentences: enough that the start of a run is a small part of it.</param>
internal sealed record SimulatorCase(string Name, int Boundary, int Epochs, int Rank, int DataSets)
{
    private const int BatchSize = 32;
    private const int MicroBatch = 16;
    private const int Classes = 2;

    /// <summary>Folder of the model.</summary>
    internal static string ModelPath { get; } = Path.Combine(Programs.Root, "samples", "base-model");

    /// <summary>A short run on other sentences: after it the services' code is warm, and nothing that counts is cached.</summary>
    internal SimulatorCase WarmUp() => this with { Name = $"{Name}-warm-up", Epochs = 1, DataSets = 1 };

    /// <summary>Writes the sentences, from a seed on.</summary>
    /// <returns>The file.</returns>
    internal string WriteData(string folder, ulong seed)
    {
        var file = Path.Combine(folder, $"{Name}-{seed}.csv");
        var sets = Enumerable.Range(0, DataSets).Select(n => DemoDataset.Generate(seed + (ulong)n));
        File.WriteAllLines(file, sets.SelectMany(set => set.Train).Select(sentence => $"\"{sentence.Text}\",{sentence.Label}").Prepend("text,label"));
        return file;
    }

    /// <summary>Writes the spec.</summary>
    internal string Write(string folder, string data)
    {
        var file = Path.Combine(folder, $"{Name}.yaml");
        File.WriteAllText(file, $"""
            name: {Name}
            seed: 1
            model:
              path: {ModelPath}
              boundary: {Boundary}
            lora:
              rank: {Rank}
              alpha: {2 * Rank}
              targets: [c_attn, c_proj, c_fc]
            task:
              kind: classification
              train: {data}
              evaluation: {data}
              text_columns: [text]
              target_column: label
              evaluation_limit: 1
            device:
              micro_batch: {MicroBatch}
            training:
              epochs: {Epochs}
              batch_size: {BatchSize}
              checkpoint_every_steps: 100000
            """);
        return file;
    }

    /// <summary>The training samples.</summary>
    internal static IReadOnlyList<EncodedSample> LoadSamples(TransformerConfig config, string data) => TaskData.Load(
        new TaskSpec
        {
            Kind = "classification", Train = data, Evaluation = data,
            TextColumns = ["text"], TargetColumn = "label", EvaluationLimit = 1,
        },
        Path.GetDirectoryName(data)!, TokenizerFolder.Open(ModelPath), config.MaximumPositions).Train;

    /// <summary>The same for the simulator.</summary>
    internal Workload Workload(TransformerConfig config, IReadOnlyList<EncodedSample> samples) => new()
    {
        Model = config,
        Lora = new LoraConfig(Rank, 2 * Rank, 0, ["c_attn", "c_proj", "c_fc"], RankStabilized: false),
        Head = HeadKind.Classification,
        Classes = Classes,
        Clients = [samples.Select(sample => new SampleSize(sample.Tokens.Length, 1)).ToArray()],
        BatchSize = BatchSize,
        Epochs = Epochs,
        Boundary = Boundary,
        WireType = WireType.Float16,
        DeviceMicroBatch = MicroBatch,
    };
}
