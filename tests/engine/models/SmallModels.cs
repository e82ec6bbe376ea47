using SplitFrozen.Models;

namespace SplitFrozen.Tests.Engine.Models;

/// <summary>Untrained models in a temporary folder.</summary>
internal sealed class SmallModel : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("splitfrozen-model-");

    private SmallModel(TransformerConfig config)
    {
        ModelInitialization.Write(_directory.FullName, config, seed: 7);
        Folder = ModelFolder.Open(_directory.FullName);
    }

    public ModelFolder Folder { get; }

    public static SmallModel Make(ModelFamily family) => Make(Config(family));

    public static SmallModel Make(TransformerConfig config) => new(config);

    public static TransformerConfig Config(ModelFamily family) => family == ModelFamily.Gpt2
        ? new TransformerConfig
        {
            Family = ModelFamily.Gpt2, Layers = 3, Width = 16, Heads = 4, KeyValueHeads = 4, HeadWidth = 4, InnerWidth = 24,
            VocabularySize = 29, MaximumPositions = 12, NormEpsilon = 1e-5, TieWordEmbeddings = true,
        }
        : new TransformerConfig
        {
            Family = ModelFamily.Llama, Layers = 3, Width = 16, Heads = 4, KeyValueHeads = 2, HeadWidth = 4, InnerWidth = 24,
            VocabularySize = 29, MaximumPositions = 64, NormEpsilon = 1e-5, TieWordEmbeddings = false,
            Rope = new RopeConfig(1000, new RopeScaling(8, 1, 4, 16)),
        };

    public void Dispose()
    {
        Folder.Dispose();
        _directory.Delete(recursive: true);
    }
}
