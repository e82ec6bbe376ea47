using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Tests;

/// <summary>An untrained model of three blocks in a temporary folder.</summary>
internal sealed class SmallModel : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("splitfrozen-fleet-");

    private SmallModel(TransformerConfig config)
    {
        ModelInitialization.Write(_directory.FullName, config, seed: 7);
        Folder = ModelFolder.Open(_directory.FullName);
    }

    public ModelFolder Folder { get; }

    public static SmallModel Make(ModelFamily family) => new(Config(family));

    public static TransformerConfig Config(ModelFamily family) => new()
    {
        Family = family, Layers = 3, Width = 64, Heads = 4, KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2, HeadWidth = 16, InnerWidth = 96,
        VocabularySize = 40, MaximumPositions = 32, NormEpsilon = 1e-5, TieWordEmbeddings = family == ModelFamily.Gpt2,
        Rope = family == ModelFamily.Gpt2 ? null : new RopeConfig(10000, null),
    };

    public void Dispose()
    {
        Folder.Dispose();
        _directory.Delete(recursive: true);
    }
}
