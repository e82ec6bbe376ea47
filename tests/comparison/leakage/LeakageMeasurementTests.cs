using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Comparison.Leakage.Tests;

public sealed class LeakageMeasurementTests
{
    private static readonly WireType[] s_exact = [WireType.Float32];

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void CutZero_Exact_GivesEveryTokenAway(ModelFamily family)
    {
        using var model = new UntrainedModel(family);
        var score = Measure(model.Folder, Samples(4), [0], s_exact)[0];
        Assert.Equal((1.0, 1.0), (score.ShareAlone, score.ShareInSequence));
        Assert.Equal(Samples(4).Sum(sample => sample.Tokens.Length), score.Tokens);
    }

    [Fact]
    public void FirstPosition_OfEverySample_IsGivenAwayAtEveryCut()
    {
        // A first token stands alone: there is nothing that attention could mix in.
        using var model = new UntrainedModel(ModelFamily.Gpt2);
        var firsts = Samples(10).Select((sample, row) => Sample(row, [sample.Tokens[0]])).ToArray();
        Assert.All(Measure(model.Folder, firsts, [0, 1, 2, 3], s_exact), score => Assert.Equal(1.0, score.ShareAlone));
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2)]
    [InlineData(ModelFamily.Llama)]
    public void InSequence_WithTheWholeVocabularyInBudget_IsExactAtEveryCutAndWireType(ModelFamily family)
    {
        using var model = new UntrainedModel(family);
        var scores = Measure(model.Folder, Samples(3), [1, 3], [WireType.Float32, WireType.Float16, WireType.Int8]);
        Assert.Equal(6, scores.Count);
        Assert.All(scores, score => Assert.Equal(1.0, score.ShareInSequence));
    }

    [Fact]
    public void SampleModel_InSequence_RecoversAtLeastWhatAloneDoes_AndTheSameAgain()
    {
        var folder = Path.Combine(Root(), "samples");
        using var model = ModelFolder.Open(Path.Combine(folder, "base-model"));
        var data = TaskData.Load(
            new TaskSpec
            {
                Kind = "classification", Train = Path.Combine(folder, "demo", "train.csv"), Evaluation = Path.Combine(folder, "demo", "held_out.csv"),
                TextColumns = ["text"], TargetColumn = "label", TrainLimit = 50, EvaluationLimit = 3,
            },
            folder, TokenizerFolder.Open(Path.Combine(folder, "base-model")), model.Config.MaximumPositions);
        WireType[] types = [WireType.Float16, WireType.Int8];
        var scores = Measure(model, data.Evaluation, [0, 2], types);
        Assert.All(scores, score => Assert.True(score.RecoveredInSequence >= score.RecoveredAlone, $"{score}"));
        Assert.Equal(scores, Measure(model, data.Evaluation, [0, 2], types));
        Assert.Equal(1.0, scores[0].ShareAlone);
    }

    [Fact]
    public void Measure_NothingToAttack_IsRefused()
    {
        using var model = new UntrainedModel(ModelFamily.Gpt2);
        Assert.Throws<ArgumentException>(() => Measure(model.Folder, [], [0], s_exact));
        Assert.Throws<ArgumentOutOfRangeException>(() => Measure(model.Folder, Samples(1), [4], s_exact));
    }

    private static IReadOnlyList<LeakageScore> Measure(ModelFolder model, IReadOnlyList<EncodedSample> samples, int[] cuts, WireType[] types) =>
        LeakageMeasurement.Measure(model, samples, cuts, types, TestContext.Current.CancellationToken);

    private static EncodedSample[] Samples(int count)
    {
        var random = new SeededRandom(5);
        return [.. Enumerable.Range(0, count).Select(row => Sample(row, [.. Enumerable.Range(0, 3 + random.NextInt32(6)).Select(_ => random.NextInt32(UntrainedModel.Vocabulary))]))];
    }

    private static EncodedSample Sample(int row, int[] tokens) => new(SampleId.Training(row), tokens, [0], LabelsPerToken: false, Class: 0);

    private static string Root()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "SplitFrozen.sln")))
        {
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("SplitFrozen.sln is above no parent folder of the test.");
        }

        return root;
    }

    private sealed class UntrainedModel : IDisposable
    {
        public const int Vocabulary = 60;

        private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("splitfrozen-leakage-");

        public UntrainedModel(ModelFamily family)
        {
            ModelInitialization.Write(_directory.FullName, new TransformerConfig
            {
                Family = family, Layers = 3, Width = 32, Heads = 2, KeyValueHeads = 2, HeadWidth = 16, InnerWidth = 64, VocabularySize = Vocabulary, MaximumPositions = 16,
                NormEpsilon = 1e-5, TieWordEmbeddings = true, Rope = family == ModelFamily.Gpt2 ? null : new RopeConfig(10000, null),
            }, seed: 3);
            Folder = ModelFolder.Open(_directory.FullName);
        }

        public ModelFolder Folder { get; }

        public void Dispose()
        {
            Folder.Dispose();
            _directory.Delete(recursive: true);
        }
    }
}
