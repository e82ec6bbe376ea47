using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.Tests;

namespace SplitFrozen.Comparison.Methods.Tests;

/// <summary>An untrained model of four blocks and a task that it can learn: the class is the number of large ids, in three steps.</summary>
internal sealed class SmallProblem : IDisposable
{
    public const int Rows = 40;

    private readonly TemporaryFolder _folder = new();

    public SmallProblem(bool isLanguageModel = false)
    {
        var config = new TransformerConfig
        {
            Family = ModelFamily.Gpt2,
            Layers = 4,
            Width = 16,
            Heads = 4,
            KeyValueHeads = 4,
            HeadWidth = 4,
            InnerWidth = 32,
            VocabularySize = 40,
            MaximumPositions = 12,
            NormEpsilon = 1e-5,
            TieWordEmbeddings = true,
            EndOfTextId = 39,
        };
        ModelInitialization.Write(_folder.File("base"), config, seed: 3);
        Model = ModelFolder.Open(_folder.File("base"));
        Data = new LoadedTask
        {
            Task = new SmallTask(isLanguageModel),
            Train = [.. Enumerable.Range(0, Rows).Select(row => Sample(SampleId.Training(row), isLanguageModel))],
            Evaluation = [.. Enumerable.Range(0, 16).Select(row => Sample(SampleId.Evaluation(row), isLanguageModel))],
            TrainLeftOut = 0,
            EvaluationLeftOut = 0,
            GenerationExamples = [],
            GenerationLeftOut = 0,
        };
    }

    public ModelFolder Model { get; }

    public LoadedTask Data { get; }

    public static RunSpec Spec { get; } = new()
    {
        Name = "small",
        Seed = 7,
        Model = new ModelSpec { Boundary = 2 },
        Lora = new LoraSpec { Rank = 2, Alpha = 8, Targets = ["c_attn", "c_proj"] },
        Device = new DeviceSpec { WireType = WireType.Float32, MicroBatch = 3 },
        Training = new TrainingSpec { Epochs = 2, BatchSize = 8, LearningRate = 0.01, WarmupRatio = 0.1 },
    };

    public FineTuningProblem With(RunSpec? spec = null) => new(Model, Data, spec ?? Spec);

    /// <summary>Clients that hold consecutive rows, so many each.</summary>
    public IReadOnlyList<ClientShare> Clients(FineTuningProblem problem, params int[] sizes)
    {
        Assert.Equal(Rows, sizes.Sum());
        var start = 0;
        return ClientShare.Of(problem, [.. sizes.Select(size => Enumerable.Range((start += size) - size, size).ToArray())]);
    }

    public void Dispose()
    {
        Model.Dispose();
        _folder.Dispose();
    }

    private static EncodedSample Sample(SampleId id, bool isLanguageModel)
    {
        var random = SeededRandom.ForStream(5, "sample", (ulong)id.Value);
        int[] tokens = [.. Enumerable.Range(0, 3 + random.NextInt32(6)).Select(_ => random.NextInt32(39))];
        if (isLanguageModel)
        {
            int[] targets = [.. tokens.Select((token, t) => t % 3 == 0 ? EncodedSample.Ignored : token)];
            return new EncodedSample(id, tokens, targets, LabelsPerToken: true, 0);
        }

        var label = Math.Min(2, 3 * tokens.Count(token => token >= 20) / tokens.Length);
        return new EncodedSample(id, tokens, [label], LabelsPerToken: false, label);
    }

    private sealed class SmallTask(bool isLanguageModel) : ITask
    {
        public string Name => "small";

        public TaskKind Kind => isLanguageModel ? TaskKind.LanguageModel : TaskKind.Classification;

        public int Classes => ClassNames.Count;

        public IReadOnlyList<string> ClassNames => isLanguageModel ? [] : ["few", "some", "many"];

        public int? PositiveClass => null;

        public string MetricName => isLanguageModel ? "loss" : "accuracy";
    }
}
