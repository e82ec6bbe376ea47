using SplitFrozen.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class TextGeneratorTests
{
    [Theory]
    [InlineData("gpt2", 1)]
    [InlineData("gpt2", 0)]
    [InlineData("llama", 2)]
    [InlineData("llama", 1)]
    public void Generate_WithAdapter_EqualsRecomputingEveryTokenWithoutACache(string model, int cut)
    {
        using var open = new OpenModel(model, cut);
        foreach (var prompt in new int[][] { [7], [3, 1, 4, 1, 5, 9, 2, 6], [.. Enumerable.Range(20, 23)] })
        {
            var generated = open.Generate(prompt, 40);
            Assert.Equal(Recompute(open, prompt, 40), generated);
            Assert.True(generated.Distinct().Count() > 3, "One repeated token would not show a wrong cache.");
        }
    }

    [Fact]
    public void Generate_AtAStopToken_EndsWithoutIt()
    {
        using var open = new OpenModel("gpt2", 1);
        var free = open.Generate([5, 6, 7], 20);
        var stop = free[9];
        var stopped = open.Generate([5, 6, 7], 20, stop);
        Assert.Equal(free.TakeWhile(token => token != stop), stopped);
        Assert.Empty(open.Generate([5, 6, 7], 0));
    }

    [Fact]
    public void Generate_UpToThePositionLimit_EndsThere()
    {
        using var open = new OpenModel("gpt2", 1);
        Assert.Equal(64 - 10 + 1, open.Generate([.. Enumerable.Range(0, 10)], 500).Length);
        Assert.Throws<ArgumentException>(() => open.Generate([.. Enumerable.Repeat(1, 65)], 1));
        Assert.Throws<ArgumentException>(() => open.Generate([], 1));
    }

    [Fact]
    public void Generate_TokenOutsideTheVocabulary_IsRefused()
    {
        using var open = new OpenModel("gpt2", 1);
        Assert.Throws<ArgumentException>(() => open.Generate([97], 1));
    }

    [Fact]
    public void Generate_Repeated_LeaksNoTensors()
    {
        using var open = new OpenModel("llama", 2);
        _ = open.Generate([1, 2, 3], 5);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        _ = open.Generate([1, 2, 3], 90);
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void New_PartsThatDoNotMeet_AreRefused()
    {
        using var open = new OpenModel("llama", 2);
        using var tooHigh = FrozenEncoder.Open(open.Folder, 3);
        Assert.Throws<ArgumentException>(() => new TextGenerator(tooHigh, open.Upper));
        using var stored = References.Case("llama", "classification");
        using var classifier = References.Open(open.Folder, stored, "llama", "adapter_all", ScalarType.Float32);
        Assert.Throws<ArgumentException>(() => new TextGenerator(open.Encoder, classifier));
    }

    private static int[] Recompute(OpenModel open, int[] prompt, int count)
    {
        var tokens = prompt.ToList();
        while (tokens.Count < prompt.Length + count)
        {
            using var scope = NewDisposeScope();
            using var layout = new SequenceLayout([tokens.Count]);
            using var hidden = open.Encoder.Encode([.. tokens], layout);
            using var caughtUp = open.Upper.CatchUp(hidden, layout, open.Encoder.Cut);
            tokens.Add((int)open.Upper.Logits(caughtUp, layout)[^1].argmax().item<long>());
        }

        return [.. tokens.Skip(prompt.Length)];
    }

    private sealed class OpenModel : IDisposable
    {
        public OpenModel(string model, int cut)
        {
            using var stored = References.Case(model, "language_model");
            Folder = References.Model(model);
            Upper = References.Open(Folder, stored, model, "adapter_all", ScalarType.Float32);
            Encoder = FrozenEncoder.Open(Folder, cut);
            Generator = new TextGenerator(Encoder, Upper);
        }

        public ModelFolder Folder { get; }

        public UpperModel Upper { get; }

        public FrozenEncoder Encoder { get; }

        private TextGenerator Generator { get; }

        public int[] Generate(int[] prompt, int count, params int[] stops) =>
            Generator.Generate(prompt, count, stops.ToHashSet(), TestContext.Current.CancellationToken);

        public void Dispose()
        {
            Encoder.Dispose();
            Upper.Dispose();
            Folder.Dispose();
        }
    }
}
