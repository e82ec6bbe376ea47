using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.TestServers;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Bench;

/// <summary>A model of GPT-2 small's shapes with a tokenizer, and sentences: SST-2's and GPT-2's own where the shared files are there, else the samples'.</summary>
internal sealed record DeviceMaterial(string Model, TaskSpec Task, string Description)
{
    /// <summary>Makes the model in a folder.</summary>
    public static DeviceMaterial Make(string folder)
    {
        var model = Path.Combine(folder, "gpt2-small");
        ModelInitialization.Write(model, Config, seed: 1);
        var shared = Environment.GetEnvironmentVariable("SPLITFROZEN_SHARED") is { Length: > 0 } named ? named : Path.Combine(Programs.Root, "..", "shared");
        var samples = Path.Combine(Programs.Root, "samples");
        if (Directory.Exists(shared))
        {
            File.Copy(Path.Combine(shared, "vocab", "gpt2_encoder.json"), Path.Combine(model, "vocab.json"));
            File.Copy(Path.Combine(shared, "vocab", "gpt2_vocab.bpe"), Path.Combine(model, "merges.txt"));
            var data = Path.Combine(shared, "data", "sst2");
            var task = new TaskSpec { Kind = "sst2", Train = Path.Combine(data, "glue_train.tsv"), Evaluation = Path.Combine(data, "glue_dev.tsv") };
            return new DeviceMaterial(model, task, "SST-2 with GPT-2's vocabulary");
        }

        foreach (var file in new[] { "vocab.json", "merges.txt", "tokenizer_config.json" })
        {
            File.Copy(Path.Combine(samples, "base-model", file), Path.Combine(model, file));
        }

        return new DeviceMaterial(
            model,
            new TaskSpec
            {
                Kind = "classification", Train = Path.Combine(samples, "demo", "train.csv"), Evaluation = Path.Combine(samples, "demo", "held_out.csv"),
                TextColumns = ["text"], TargetColumn = "label",
            },
            "the demo's sentences: the shared SST-2 is not here");
    }

    /// <summary>All its sentences.</summary>
    public LoadedTask Load() => TaskData.Load(Task, Model, TokenizerFolder.Open(Model), Config.MaximumPositions);

    /// <summary>A run of one client with the first rows.</summary>
    public RunSpec Spec(string weights, WireType type, int rows) => new()
    {
        Name = "device", Model = new ModelSpec { Path = Model, Boundary = DeviceFootprint.Cut }, Lora = new LoraSpec { Targets = ["c_attn"] },
        Task = Task with { TrainLimit = rows, EvaluationLimit = 1 }, Device = new DeviceSpec { Weights = weights, WireType = type },
    };

    /// <summary>Sizes of GPT-2 small.</summary>
    public static TransformerConfig Config { get; } = new()
    {
        Family = ModelFamily.Gpt2, Layers = 12, Width = 768, Heads = 12, KeyValueHeads = 12, HeadWidth = 64, InnerWidth = 3072,
        VocabularySize = 50257, MaximumPositions = 1024, NormEpsilon = 1e-5, TieWordEmbeddings = true,
    };
}
