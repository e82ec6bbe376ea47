using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.TestServers;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Bench;

/// <summary>A run of the shipped model and data with one client, as a spec for the services and as a workload for the simulator.</summary>
/// <param name="Name">What binds it.</param>
/// <param name="Boundary">Frozen boundary.</param>
/// <param name="Epochs">Epochs.</param>
/// <param name="Rank">Rank of the adapters.</param>
internal sealed record SimulatorCase(string Name, int Boundary, int Epochs, int Rank)
{
    private const int BatchSize = 32;
    private const int MicroBatch = 16;
    private const int Classes = 2;

    private static readonly string s_samples = Path.Combine(Programs.Root, "samples");

    /// <summary>Folder of the model.</summary>
    internal static string ModelPath { get; } = Path.Combine(s_samples, "base-model");

    /// <summary>Writes the spec.</summary>
    internal string Write(string folder)
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
              train: {s_samples}/demo/train.csv
              evaluation: {s_samples}/demo/held_out.csv
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
    internal static IReadOnlyList<EncodedSample> LoadSamples(TransformerConfig config) => TaskData.Load(
        new TaskSpec
        {
            Kind = "classification", Train = Path.Combine(s_samples, "demo", "train.csv"), Evaluation = Path.Combine(s_samples, "demo", "held_out.csv"),
            TextColumns = ["text"], TargetColumn = "label", EvaluationLimit = 1,
        },
        s_samples, TokenizerFolder.Open(ModelPath), config.MaximumPositions).Train;

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
