using System.Text.Json;
using SplitFrozen.Models;
using SplitFrozen.Models.Llama2c;
using SplitFrozen.Tokenizers;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models.Llama2c;

/// <summary>
/// The real stories260K model, converted and run by the engine, against references/stories.json: computed by make_stories.py
/// from llama2.c's files directly, with llama2.c's own pair rotation and in float64.
/// </summary>
public sealed class StoriesTests
{
    [Fact]
    public void Stories260K_Converted_WritesTheTextThatLlama2cWrites()
    {
        var (model, tokens) = (SharedFiles.Require("weights/stories260K.bin"), SharedFiles.Require("weights/tok512.bin"));
        using var temporary = new TemporaryFolder();
        Llama2cConverter.Convert(model, tokens, temporary["stories"]);
        LibtorchLoader.Load();
        var tokenizer = TokenizerFolder.Open(temporary["stories"]);
        using var folder = ModelFolder.Open(temporary["stories"]);
        using var encoder = FrozenEncoder.Open(folder, 2);
        using var upper = UpperModel.Open(folder, new UpperModelOptions { LowestCut = 2, Boundary = 5, Head = HeadKind.LanguageModel });
        var generator = new TextGenerator(encoder, upper);
        using var stored = JsonDocument.Parse(File.ReadAllText(Path.Combine(References.Folder, "stories.json")));
        foreach (var run in stored.RootElement.GetProperty("runs").EnumerateArray())
        {
            int[] prompt = [folder.Config.BeginOfTextId!.Value, .. tokenizer.Encode(run.GetProperty("prompt").GetString()!)];
            Assert.Equal(Integers(run, "prompt_ids"), prompt);

            AssertFirstLogits(run, prompt, encoder, upper);
            var written = generator.Generate(prompt, 120, new HashSet<int> { 1 }, TestContext.Current.CancellationToken);

            Assert.Equal(Integers(run, "new_ids"), written);
            Assert.Equal(run.GetProperty("text").GetString()!.TrimStart(), tokenizer.Decode(written).TrimStart());
        }
    }

    private static void AssertFirstLogits(JsonElement run, int[] prompt, FrozenEncoder encoder, UpperModel upper)
    {
        using var scope = NewDisposeScope();
        using var layout = new SequenceLayout([prompt.Length]);
        var logits = upper.Logits(upper.CatchUp(encoder.Encode(prompt, layout), layout, encoder.Cut), layout)[^1];
        foreach (var (id, expected) in run.GetProperty("first_logits").EnumerateArray().Index())
        {
            Assert.Equal(expected.GetDouble(), logits[id].item<float>(), 2e-4);
        }
    }

    private static IEnumerable<int> Integers(JsonElement run, string name) => run.GetProperty(name).EnumerateArray().Select(id => id.GetInt32());
}
