using System.Text.Json;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Models;

namespace SplitFrozen.Cli.Tests.Commands;

public sealed class RunCommandTests : IDisposable
{
    private const string Weights = "adapter/adapter_model.safetensors";
    private readonly TinyWorkspace _work = new();

    [Fact]
    public async Task Run_TinySpec_TrainsAndLeavesItsFiles()
    {
        var result = await _work.RunSpecAsync("run");
        Assert.Equal((ExitCodes.Success, ""), (result.Code, result.Error));
        Assert.Contains("evaluation before training: accuracy", result.Output, StringComparison.Ordinal);
        Assert.Contains("evaluation after epoch 2: accuracy", result.Output, StringComparison.Ordinal);
        Assert.Matches(@"accuracy \(held out\) +[\d.]+ % → [\d.]+ %", result.Output);
        foreach (var name in new[] { "spec.yaml", "metrics.jsonl", "plot.svg", "report.md", "run.json", "adapter/adapter_config.json", Weights })
        {
            Assert.True(File.Exists(_work.At("run/" + name)), name);
        }

        Assert.NotEmpty(Directory.GetFiles(_work.At("run/checkpoints"), "*.safetensors"));
        var report = await File.ReadAllTextAsync(_work.At("run/report.md"), TestContext.Current.CancellationToken);
        Assert.Contains("| client-1 |", report, StringComparison.Ordinal);
        Assert.Contains("| after epoch 2 | 12 |", report, StringComparison.Ordinal);
        Assert.Contains($"splitfrozen run {_work.At("spec.yaml")}", report, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_Json_PutsOnlyEventsOnStandardOutput()
    {
        var result = await _work.RunSpecAsync("run", "--json");
        Assert.Equal(ExitCodes.Success, result.Code);
        var events = result.Lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("event").GetString()).ToArray();
        Assert.Equal("run_started", events[0]);
        Assert.Equal("run_ended", events[^1]);
        Assert.Equal(12, events.Count(name => name == "step_applied"));
        Assert.Equal(3, events.Count(name => name == "evaluation_finished"));
        Assert.Equal(File.ReadAllLines(_work.At("run/metrics.jsonl")), result.Lines);
    }

    [Fact]
    public async Task Run_EachSampleOnce_AndASecondRunComputesNothing()
    {
        var first = await _work.RunSpecAsync("first", "--json");
        var second = await _work.RunSpecAsync("second", "--json");
        Assert.Equal(TinyWorkspace.TrainRows + TinyWorkspace.HeldOutRows, Devices(first).Sum(progress => progress.Samples));
        Assert.True(Devices(first).Sum(progress => progress.ForwardFlops) > 0);
        Assert.Empty(Devices(second));
        Assert.Equal(await Bytes("first"), await Bytes("second"));
    }

    [Fact]
    public async Task Run_FinishedAlready_SaysSoAndChangesNothing()
    {
        await _work.RunSpecAsync("run");
        var before = await File.ReadAllTextAsync(_work.At("run/metrics.jsonl"), TestContext.Current.CancellationToken);
        var again = await _work.RunSpecAsync("run");
        Assert.Equal(ExitCodes.Success, again.Code);
        Assert.Contains("is finished", again.Error, StringComparison.Ordinal);
        Assert.Matches(@"accuracy \(held out\)", again.Output);
        Assert.Equal(before, await File.ReadAllTextAsync(_work.At("run/metrics.jsonl"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Run_InterruptedAndStartedAgain_EndsWithTheSameAdapterBytes()
    {
        await _work.RunSpecAsync("undisturbed");
        using var interrupt = new CancellationTokenSource();
        var output = new CancellingWriter(interrupt, "\"step_applied\"", count: 5);
        string[] arguments = ["run", _work.At("spec.yaml"), "--out", _work.At("run"), "--set", $"cache.directory={_work.At("cache")}", "--json"];
        var stopped = await TinyWorkspace.RunInterruptiblyAsync(arguments, output, interrupt.Token);
        Assert.Equal(ExitCodes.Interrupted, stopped.Code);
        Assert.Contains("the same command goes on", stopped.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_work.At("run/report.md")));

        var resumed = await TinyWorkspace.RunAsync(arguments);
        Assert.Equal(ExitCodes.Success, resumed.Code);
        Assert.True(((RunStartedEvent)RunEvent.FromJson(resumed.Lines[0])!).FromStep >= 5);
        Assert.Equal(await Bytes("undisturbed"), await Bytes("run"));
        Assert.Contains("over 2 starts", await File.ReadAllTextAsync(_work.At("run/report.md"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_OneClientOrManyWithOneClass_GivesTheSameAdapterBytes()
    {
        await _work.RunSpecAsync("one", "--set", "clients.count=1", "--set", "clients.partition=iid");
        await _work.RunSpecAsync("many", "--set", "clients.count=4", "--set", "clients.partition=classes", "--set", $"cache.directory={_work.At("cache-2")}");
        Assert.Equal(await Bytes("one"), await Bytes("many"));
    }

    [Fact]
    public async Task Run_OtherSpecInTheFolder_IsRefusedUntilFresh()
    {
        await _work.RunSpecAsync("run");
        var other = await _work.RunSpecAsync("run", "--set", "training.learning_rate=0.01");
        Assert.Equal(ExitCodes.BadInput, other.Code);
        Assert.Contains("training.learning_rate: the run has 0.001, you asked for 0.01", other.Error, StringComparison.Ordinal);
        var before = await Bytes("run");
        var fresh = await _work.RunSpecAsync("run", "--set", "training.learning_rate=0.01", "--fresh");
        Assert.Equal(ExitCodes.Success, fresh.Code);
        Assert.NotEqual(before, await Bytes("run"));
    }

    [Fact]
    public async Task Run_DataChangedSinceTheRun_IsRefused()
    {
        await _work.RunSpecAsync("run");
        _work.Write("held_out.csv", "text,label\nsomething else,good\nand more,bad\n");
        var again = await _work.RunSpecAsync("run");
        Assert.Equal(ExitCodes.BadInput, again.Code);
        Assert.Contains("data files or the tokenizer changed", again.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_FolderOfSomethingElse_IsRefused()
    {
        Directory.CreateDirectory(_work.At("mine"));
        _work.Write("mine/thesis.txt", "do not touch");
        var result = await _work.RunSpecAsync("mine", "--fresh");
        Assert.Equal(ExitCodes.BadInput, result.Code);
        Assert.Contains("is no run folder", result.Error, StringComparison.Ordinal);
        Assert.Single(Directory.GetFileSystemEntries(_work.At("mine")));
    }

    [Fact]
    public async Task Eval_AdapterOfTheRun_GivesTheRunsLastAccuracy()
    {
        var run = await _work.RunSpecAsync("run", "--json");
        var last = run.Lines.Select(RunEvent.FromJson).OfType<EvaluationEvent>().Last();
        var eval = await TinyWorkspace.RunAsync(["eval", _work.At("run/adapter"), "--spec", _work.At("run/spec.yaml"), "--json"]);
        using var json = JsonDocument.Parse(eval.Output);
        Assert.Equal(last.Metrics["accuracy"], json.RootElement.GetProperty("accuracy").GetDouble());
        Assert.Equal(last.Metrics["loss"], json.RootElement.GetProperty("loss").GetDouble(), 6);
    }

    [Fact]
    public async Task Export_FinishedRun_WritesTheAdapterAndAWholeModel()
    {
        await _work.RunSpecAsync("run");
        var peft = await TinyWorkspace.RunAsync(["export", _work.At("run"), "--format", "peft", "--out", _work.At("peft")]);
        var merged = await TinyWorkspace.RunAsync(["export", _work.At("run"), "--format", "merged", "--out", _work.At("merged")]);
        Assert.Equal((ExitCodes.Success, ExitCodes.Success), (peft.Code, merged.Code));
        Assert.Equal(await Bytes("run"), await File.ReadAllBytesAsync(_work.At("peft/adapter_model.safetensors"), TestContext.Current.CancellationToken));
        using var model = ModelFolder.Open(_work.At("merged"));
        Assert.Equal(2, model.Config.Layers);
        Assert.True(File.Exists(_work.At("merged/vocab.json")));
    }

    [Fact]
    public async Task Run_InstructionTask_AnswersByGeneration()
    {
        _work.EditSpec("kind: classification", "kind: instruction");
        _work.EditSpec("  text_columns: [text]\n", "  prompt_template: \"{text}:\"\n  generate_samples: 4\n  generate_tokens: 4\n");
        _work.EditSpec("partition: dirichlet", "partition: zipf");
        var result = await _work.RunSpecAsync("run", "--json", "--set", "training.epochs=1");
        Assert.Equal((ExitCodes.Success, ""), (result.Code, result.Error));
        var generation = Assert.Single(result.Lines.Select(RunEvent.FromJson).OfType<GenerationEvent>());
        Assert.Equal(4, generation.Answered);
        var losses = result.Lines.Select(RunEvent.FromJson).OfType<EvaluationEvent>().Select(e => e.Metrics["loss"]).ToArray();
        Assert.Equal(2, losses.Length);
        Assert.True(losses[1] < losses[0]);
    }

    public void Dispose() => _work.Dispose();

    private static DeviceProgressEvent[] Devices(CommandResult result) => [.. result.Lines.Select(RunEvent.FromJson).OfType<DeviceProgressEvent>()];

    private Task<byte[]> Bytes(string run) => File.ReadAllBytesAsync(_work.At($"{run}/{Weights}"), TestContext.Current.CancellationToken);

    /// <summary>Presses Ctrl-C once a text has been written a number of times.</summary>
    private sealed class CancellingWriter(CancellationTokenSource interrupt, string text, int count) : StringWriter
    {
        private int _left = count;

        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            if (value!.Contains(text, StringComparison.Ordinal) && --_left == 0)
            {
                interrupt.Cancel();
            }
        }
    }
}
