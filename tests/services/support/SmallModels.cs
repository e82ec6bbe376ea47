using SplitFrozen.Models;
using SplitFrozen.Services.Tests.Support;

[assembly: AssemblyFixture(typeof(SmallModels))]

namespace SplitFrozen.Services.Tests.Support;

/// <summary>Untrained models of four blocks, made once for all tests.</summary>
public sealed class SmallModels : IDisposable
{
    public const int Vocabulary = 50;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-models-");

    public SmallModels()
    {
        Gpt2 = Make("gpt2", Config(ModelFamily.Gpt2));
        Llama = Make("llama", Config(ModelFamily.Llama));
    }

    public ModelFolder Gpt2 { get; }

    public ModelFolder Llama { get; }

    public void Dispose()
    {
        Gpt2.Dispose();
        Llama.Dispose();
        _folder.Delete(recursive: true);
    }

    private static TransformerConfig Config(ModelFamily family) => new()
    {
        Family = family,
        Layers = 4,
        Width = 32,
        Heads = 4,
        KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2,
        HeadWidth = 8,
        InnerWidth = 64,
        VocabularySize = Vocabulary,
        MaximumPositions = 16,
        NormEpsilon = 1e-5,
        TieWordEmbeddings = true,
        Rope = family == ModelFamily.Gpt2 ? null : new RopeConfig(10000, null),
    };

    private ModelFolder Make(string name, TransformerConfig config)
    {
        var path = Path.Combine(_folder.FullName, name);
        ModelInitialization.Write(path, config, seed: 11);
        return ModelFolder.Open(path);
    }
}
