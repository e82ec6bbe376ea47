using System.Text.Json;

namespace SplitFrozen.Cli.Tests.Commands;

public sealed class OtherCommandTests : IDisposable
{
    private readonly TinyWorkspace _work = new();

    [Theory]
    [InlineData("run")]
    [InlineData("eval")]
    [InlineData("generate")]
    [InlineData("export")]
    [InlineData("inspect")]
    [InlineData("pretrain")]
    [InlineData("convert")]
    [InlineData("leakage")]
    public async Task Help_EveryVerb_HasExamples(string verb)
    {
        var result = await TinyWorkspace.RunAsync([verb, "--help"]);
        Assert.Equal(ExitCodes.Success, result.Code);
        Assert.Contains($"splitfrozen {verb} ", result.Output[result.Output.IndexOf("Examples:", StringComparison.Ordinal)..], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Inspect_Model_ListsItsTensors()
    {
        var result = await TinyWorkspace.RunAsync(["inspect", _work.At("model"), "--json"]);
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal("model", json.RootElement.GetProperty("kind").GetString());
        Assert.Equal("2", json.RootElement.GetProperty("facts").GetProperty("blocks").GetString());
        var tensor = json.RootElement.GetProperty("tensors").EnumerateArray().Single(t => t.GetProperty("name").GetString() == "h.1.attn.c_attn.weight");
        Assert.Equal([16, 48], tensor.GetProperty("shape").EnumerateArray().Select(extent => extent.GetInt32()));
    }

    [Fact]
    public async Task Inspect_CheckpointAndAdapter_TellWhatTheyAre()
    {
        await _work.RunSpecAsync("run");
        var checkpoint = await TinyWorkspace.RunAsync(["inspect", Directory.GetFiles(_work.At("run/checkpoints"), "*.safetensors")[0]]);
        var adapter = await TinyWorkspace.RunAsync(["inspect", _work.At("run/adapter")]);
        Assert.StartsWith("checkpoint:", checkpoint.Output, StringComparison.Ordinal);
        Assert.Matches(@"metadata\.step +\d+", checkpoint.Output);
        Assert.StartsWith("adapter:", adapter.Output, StringComparison.Ordinal);
        Assert.Matches(@"target_modules +\[""c_attn"",""c_fc""\]", adapter.Output);
    }

    [Fact]
    public async Task Pretrain_InterruptedAndStartedAgain_MakesTheSameModel()
    {
        _work.Write("text.txt", string.Concat(Enumerable.Range(0, 400).Select(i => $"Sentence {i} of this little text is about number {i * 7 % 11}.\n")));
        _work.Write("rows.tsv", "text\tlabel\n" + string.Concat(Enumerable.Range(0, 200).Select(i => $"row {i} has some text\t{i % 2}\n")));
        var whole = await TinyWorkspace.RunAsync(Arguments("whole"));
        Assert.Equal((ExitCodes.Success, ""), (whole.Code, whole.Error));
        using var interrupt = new CancellationTokenSource();
        await interrupt.CancelAsync();
        var stopped = await TinyWorkspace.RunInterruptiblyAsync(Arguments("again"), new StringWriter(), interrupt.Token);
        Assert.Equal(ExitCodes.Interrupted, stopped.Code);
        Assert.False(File.Exists(_work.At("again/config.json")));
        var resumed = await TinyWorkspace.RunAsync(Arguments("again"));
        Assert.Equal(ExitCodes.Success, resumed.Code);
        Assert.Equal(File.ReadAllBytes(_work.At("whole/model.safetensors")), File.ReadAllBytes(_work.At("again/model.safetensors")));

        var generated = await TinyWorkspace.RunAsync(["generate", _work.At("whole"), "--prompt", "Sentence", "--tokens", "5"]);
        Assert.Equal(ExitCodes.Success, generated.Code);
        Assert.StartsWith("Sentence", generated.Output, StringComparison.Ordinal);

        string[] Arguments(string output) =>
        [
            "pretrain", "--text", _work.At("text.txt"), "--column", _work.At("rows.tsv") + ":text=0.5", "--tokens", "4k", "--vocabulary", "300",
            "--blocks", "1", "--width", "16", "--heads", "2", "--sequence-length", "16", "--batch-size", "4", "--threads", "1", "--out", _work.At(output),
        ];
    }

    [Fact]
    public async Task Leakage_Json_HasAScoreForEveryCutAndWireType()
    {
        var result = await TinyWorkspace.RunAsync(["leakage", _work.At("spec.yaml"), "--cuts", "0,2", "--wire", "f32,int8", "--samples", "3", "--json"]);
        Assert.Equal((ExitCodes.Success, ""), (result.Code, result.Error));
        using var json = JsonDocument.Parse(result.Output);
        var scores = json.RootElement.GetProperty("scores").EnumerateArray().ToArray();
        Assert.Equal(["0 f32", "0 int8", "2 f32", "2 int8"], scores.Select(score => $"{score.GetProperty("cut").GetInt32()} {score.GetProperty("wire_type").GetString()}"));
        Assert.All(scores, score => Assert.Equal(scores[0].GetProperty("tokens").GetInt32(), score.GetProperty("tokens").GetInt32()));
        Assert.Equal(1.0, scores[0].GetProperty("share_alone").GetDouble());
        Assert.Equal(3, json.RootElement.GetProperty("samples").GetInt32());
    }

    [Theory]
    [InlineData("--cuts", "0,7", "--cuts 7: expected 0 to 2, the model's blocks.")]
    [InlineData("--cuts", "one", "--cuts one: expected whole numbers, separated by commas.")]
    [InlineData("--wire", "f8", "--wire f8: expected f32, f16, bf16 or int8, separated by commas.")]
    [InlineData("--samples", "0", "--samples 0: expected at least 1.")]
    public async Task Leakage_BadOption_IsNamed(string option, string value, string fault)
    {
        var result = await TinyWorkspace.RunAsync(["leakage", _work.At("spec.yaml"), option, value]);
        Assert.Equal((ExitCodes.BadInput, $"error: {fault}{Environment.NewLine}"), (result.Code, result.Error));
    }

    public void Dispose() => _work.Dispose();
}
