using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tasks.Tests.Support;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Tasks.Tests;

/// <summary>What packing and narrow types save over rows of f32 that are padded to the task's longest sample.</summary>
public sealed class WireBytesTests
{
    private const int Width = 768;
    private const int SamplesPerMessage = 64;

    [Theory]
    [InlineData(WireType.Float16, 8)]
    [InlineData(WireType.Int8, 15)]
    public void Messages_OfSst2_AreAFractionOfPaddedF32(WireType type, double least)
    {
        var spec = new TaskSpec { Kind = "sst2", Train = Path.Combine(SharedData.Folder, "sst2", "glue_train.tsv"), Evaluation = Path.Combine(SharedData.Folder, "sst2", "glue_dev.tsv") };
        HoldsRatio(spec, type, least);
    }

    [Theory]
    [InlineData(WireType.Float16, 8)]
    [InlineData(WireType.Int8, 15)]
    public void Messages_OfTheDemo_AreAFractionOfPaddedF32(WireType type, double least)
    {
        var samples = Path.Combine(Root(), "samples", "demo");
        var spec = new TaskSpec
        {
            Kind = "classification", Train = Path.Combine(samples, "train.csv"), Evaluation = Path.Combine(samples, "held_out.csv"), TextColumns = ["text"], TargetColumn = "label",
        };
        HoldsRatio(spec, type, least);
    }

    private static void HoldsRatio(TaskSpec spec, WireType type, double least)
    {
        // The sample model's vocabulary is smaller than GPT-2's: its sentences are longer, and the ratio is the smaller for it.
        var tokenizer = TokenizerFolder.Open(Path.Combine(Root(), "samples", "base-model"));
        var data = TaskData.Load(spec, Root(), tokenizer, spec.MaxLength);
        var sent = data.Train.Chunk(SamplesPerMessage).Sum(samples => ActivationBatchCodec.EncodedLength(new ActivationBatch
        {
            RunId = "run", ClientId = "client-1", ModelFingerprint = new string('a', 64), Cut = 4, Width = Width, WireType = type,
            Lengths = Array.ConvertAll(samples, sample => sample.Tokens.Length), SampleIds = [], Labels = [], LabelsPerToken = false, HiddenStates = default,
        }));
        var padded = (long)data.Train.Count * spec.MaxLength * Width * sizeof(float);
        Assert.True(padded >= least * sent, $"{type.Name()}: {sent} bytes, padded {padded}, 1/{(double)padded / sent:F1}");
    }

    private static string Root()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "SplitFrozen.sln")))
        {
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("SplitFrozen.sln is above no parent folder of the test.");
        }

        return root;
    }
}
