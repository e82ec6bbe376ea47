using System.Buffers.Binary;
using System.Text;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Cli.Tests.Commands;

public sealed class BadInputTests : IDisposable
{
    private readonly TinyWorkspace _work = new();

    public static TheoryData<string, string, string[]> SpecFaults => new()
    {
        { "seed: 3", "sed: 3", ["spec.yaml:2: sed: unknown key. Did you mean 'seed'?"] },
        { "epochs: 2", "epochs: two", ["training.epochs: expected a whole number, found 'two'"] },
        { "boundary: 1", "boundary: 2", ["spec.yaml:5: model.boundary: found 2", "2 blocks"] },
        { "rank: 2", "rank: 0", ["spec.yaml:7: lora.rank: found 0"] },
        { "targets: [c_attn, c_fc]", "targets: [q_proj]", ["lora.targets[0]", "attn.c_attn"] },
        { "train: train.csv", "train: nowhere.csv", ["task.train", "nowhere.csv"] },
        { "path: model", "path: no-model", ["model.path", "no-model"] },
        { "max_length: 24", "max_length: 99", ["task.max_length", "32 positions"] },
        { "kind: classification", "kind: sentiment", ["task.kind", "sst2"] },
        { "partition: dirichlet", "partition: random", ["clients.partition", "iid"] },
        { "text_columns: [text]", "text_columns: [review]", ["train.csv", "review"] },
    };

    [Theory]
    [MemberData(nameof(SpecFaults))]
    public async Task Run_FaultInTheSpec_IsNamedWithFileAndField(string from, string to, string[] expected)
    {
        _work.EditSpec(from, to);
        await RefusedAsync(expected);
    }

    [Fact]
    public async Task Run_DevicesWithDataOfTheirOwn_SaysThatItNeedsDeviceWorkers()
    {
        _work.EditSpec("partition: dirichlet", "partition: devices");
        _work.EditSpec("train: train.csv", "classes: [a, b]");
        await RefusedAsync("clients.partition: found 'devices'", "submit");
    }

    [Fact]
    public async Task Run_ManyFaults_AreAllReportedAtOnce()
    {
        _work.EditSpec("rank: 2", "rank: 0");
        _work.EditSpec("epochs: 2", "epochs: 0");
        _work.EditSpec("alpha: 4", "alfa: 4");
        _work.EditSpec("boundary: 1", "boundary: 7");
        _work.EditSpec("held_out.csv", "nothing.csv");
        await RefusedAsync("lora.rank", "training.epochs", "lora.alfa", "model.boundary", "task.evaluation");
    }

    [Fact]
    public async Task Run_PickleForWeights_SaysWhatItIs()
    {
        File.WriteAllBytes(_work.At("model/model.safetensors"), [0x80, 0x02, (byte)'}', (byte)'q', 0, 0, 0, 0, 0, 0, 0, 0]);
        await RefusedAsync("model.safetensors", "ickle");
    }

    [Fact]
    public async Task Run_TruncatedWeights_NamesTheFile()
    {
        var bytes = File.ReadAllBytes(_work.At("model/model.safetensors"));
        File.WriteAllBytes(_work.At("model/model.safetensors"), bytes[..(bytes.Length / 2)]);
        await RefusedAsync("model.safetensors");
    }

    [Fact]
    public async Task Run_LyingHeader_NamesTheFile()
    {
        var json = Encoding.UTF8.GetBytes("""{"wte.weight":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}""");
        var file = new byte[8 + json.Length + 64];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)json.Length);
        json.CopyTo(file, 8);
        File.WriteAllBytes(_work.At("model/model.safetensors"), file);
        await RefusedAsync("model.safetensors", "wte.weight");
    }

    [Fact]
    public async Task Run_TokenizerOfABiggerModel_SaysThatTheyDoNotBelongTogether()
    {
        var trainer = new BytePairTrainer();
        trainer.Add(Enumerable.Range(0, 500).Select(i => $"{i % 250} words that no other text has"), TestContext.Current.CancellationToken);
        trainer.Train(500, cancellationToken: TestContext.Current.CancellationToken).Write(_work.At("model"));
        await RefusedAsync("model", "the tokenizer names", "vocab_size");
    }

    [Fact]
    public async Task Run_NoTokenizer_SaysWhichFilesAreMissing()
    {
        File.Delete(_work.At("model/vocab.json"));
        await RefusedAsync("model", "vocab.json");
    }

    [Fact]
    public async Task Run_UnknownLabel_NamesFileLineAndColumn()
    {
        _work.Write("held_out.csv", "text,label\na film,good\nanother,terrible\n");
        await RefusedAsync("held_out.csv", "line 3", "label", "terrible");
    }

    [Fact]
    public async Task Run_EmptyData_NamesTheFile()
    {
        _work.Write("train.csv", "text,label\n");
        await RefusedAsync("train.csv");
    }

    [Fact]
    public async Task Run_SpecFileMissing_NamesIt()
    {
        File.Delete(_work.At("spec.yaml"));
        await RefusedAsync("spec.yaml");
    }

    [Theory]
    [InlineData("rum", "unknown command 'rum'")]
    [InlineData("run", "argument 'spec' missing")]
    [InlineData("export x --format zip --out y", "zip")]
    [InlineData("inspect nowhere", "nowhere: there is no such file or folder")]
    [InlineData("eval nowhere --spec nowhere.yaml", "nowhere.yaml")]
    [InlineData("pretrain --tokens many --out x", "--tokens")]
    [InlineData("pretrain --tokens 5k --out x", "nothing to train on")]
    [InlineData("convert llama2c nowhere.bin --tokenizer t.bin --out x", "nowhere.bin")]
    public async Task Command_BadArguments_ExitWithTwoAndOneMessage(string arguments, string expected)
    {
        var result = await TinyWorkspace.RunAsync(arguments.Split(' '));
        Assert.Equal(ExitCodes.BadInput, result.Code);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
        Assert.Equal("", result.Output);
    }

    public void Dispose() => _work.Dispose();

    private async Task RefusedAsync(params string[] expected)
    {
        var result = await _work.RunSpecAsync("run");
        Assert.Equal(ExitCodes.BadInput, result.Code);
        Assert.All(expected, text => Assert.Contains(text, result.Error, StringComparison.Ordinal));
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
        Assert.Equal("", result.Output);
        Assert.False(Directory.Exists(_work.At("run")));
        Assert.False(Directory.Exists(_work.At("cache")));
    }
}
