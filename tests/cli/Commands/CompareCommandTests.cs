using System.Text.Json;
using System.Xml.Linq;
using SplitFrozen.Cli.LocalRun;
using SplitFrozen.Comparison.Methods;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using SplitFrozen.Training.Export;
using SplitFrozen.Training.FineTuning;
using static TorchSharp.torch;

namespace SplitFrozen.Cli.Tests.Commands;

public sealed class CompareCommandTests : IDisposable
{
    private readonly TinyWorkspace _work = new();

    [Fact]
    public async Task SplitFrozenMethod_OnTheSpecOfARun_TrainsTheBytesOfTheRun()
    {
        await _work.RunSpecAsync("run");
        using var run = RunPreparation.Prepare(_work.At("spec.yaml"), [], Environment.GetEnvironmentVariable);
        using var thread = new ComputeThread("method", 1);

        await thread.RunAsync(() => WriteAdapter(run, _work.At("method")), TestContext.Current.CancellationToken);

        foreach (var file in new[] { "adapter_model.safetensors", "adapter_config.json" })
        {
            Assert.Equal(File.ReadAllBytes(_work.At($"run/adapter/{file}")), File.ReadAllBytes(_work.At($"method/{file}")));
        }
    }

    [Fact]
    public async Task Compare_TwoPartitions_WritesReportAndCells()
    {
        var result = await CompareAsync("--learning-rates", "1e-3,5e-3");

        Assert.Equal((ExitCodes.Success, 1), (result.Code, result.Lines.Count));
        Assert.Contains("[30/30] tiny ", result.Error, StringComparison.Ordinal);
        Assert.Contains(", ETA ", result.Error, StringComparison.Ordinal);
        Assert.Equal(30, Directory.GetFiles(_work.At("study/cells")).Length);
        var report = await File.ReadAllTextAsync(_work.At("study/report.md"), TestContext.Current.CancellationToken);
        Assert.Contains($"splitfrozen compare {_work.At("spec.yaml")} --partitions iid,classes:1", report, StringComparison.Ordinal);
        Assert.Matches(@"\| SplitFrozen \| [\d.]+ % \| [\d.]+ % \| [\d.]+ \|  \|  \| 0\.00[15] \|", report);
        Assert.Matches(@"\| FedLoRA \| [\d.]+ % \| [\d.]+ % \| [\d.]+ \| [+−]?[\d.]+ \| ", report);
        Assert.Contains("| tiny, classes:1 | 1 | 1 | 0 |", report, StringComparison.Ordinal);
        Assert.Contains(" ←", report, StringComparison.Ordinal);
        Assert.Contains("](tiny-classes-1.svg)", report, StringComparison.Ordinal);
        Assert.Matches(@"\| 1 \| [\d.]+ % \| [\d.]+ % \| 100\.0 % \|", report);
        Assert.Matches(@"\| classes:1, SplitFrozen, second run \| 0 \| 100\.0 % \| 0 B \| 0 B \| 0 B \| ", report);
        Assert.Contains("](tiny-cost.svg)", report, StringComparison.Ordinal);
        Assert.Contains("](tiny-classes-1-time.svg)", report, StringComparison.Ordinal);
        Assert.Equal("svg", XDocument.Parse(await File.ReadAllTextAsync(_work.At("study/tiny-classes-1.svg"), TestContext.Current.CancellationToken)).Root!.Name.LocalName);
    }

    [Fact]
    public async Task Compare_Html_HoldsItsFiguresAndNothingElseIsNeeded()
    {
        await CompareAsync("--methods", "splitfrozen");

        var page = await File.ReadAllTextAsync(_work.At("study/report.html"), TestContext.Current.CancellationToken);
        var root = XDocument.Parse(page["<!DOCTYPE html>".Length..].Replace("<meta charset=\"utf-8\">", "", StringComparison.Ordinal)).Root!;
        Assert.Equal(5, root.Descendants().Count(element => element.Name.LocalName == "svg"));
        Assert.DoesNotContain(root.Descendants().Attributes(), attribute => attribute.Name.LocalName is "src" or "href");
    }

    [Fact]
    public async Task Compare_Again_TakesWhatIsThereAndSaysTheSame()
    {
        var first = await CompareAsync("--methods", "fedlora,splitlora", "--json");
        var second = await CompareAsync("--methods", "fedlora,splitlora,centralised", "--json");

        Assert.Equal(4, second.Error.Split("(stored)").Length - 1);
        var (before, after) = (Methods(first), Methods(second));
        Assert.Equal(["fedlora", "fedlora", "splitlora", "splitlora", "centralised"], after.Select(method => method.GetProperty("method").GetString()));
        Assert.Equal(before.Select(method => method.ToString()), after.Take(4).Select(method => method.ToString()));
        Assert.True(File.Exists(_work.At("study/cells/" + after[0].GetProperty("cells")[0].GetProperty("file").GetString())));
    }

    [Fact]
    public async Task Compare_BadOptions_NamesAllAndTrainsNothing()
    {
        var result = await TinyWorkspace.RunAsync(
        [
            "compare", _work.At("spec.yaml"), "--out", _work.At("study"), "--methods", "fedlora,magic", "--partitions", "iid,classes:0", "--seeds", "1,1", "--learning-rates", "0", "--parallel", "0",
        ]);

        Assert.Equal(ExitCodes.BadInput, result.Code);
        foreach (var fault in new[] { "--methods: found 'magic'", "--partitions: found 'classes:0'", "--seeds: '1' is there twice", "--learning-rates: found '0'", "--parallel: found 0" })
        {
            Assert.Contains(fault, result.Error, StringComparison.Ordinal);
        }

        Assert.False(Directory.Exists(_work.At("study")));
    }

    [Fact]
    public async Task Compare_WhatTheDataCannotBe_IsRefusedBeforeTraining()
    {
        var result = await CompareAsync("--partitions", "classes:3", "--local-epochs", "3", "--set", "model.boundary=0");

        Assert.Equal(ExitCodes.BadInput, result.Code);
        Assert.Contains("expected 1 to 2", result.Error, StringComparison.Ordinal);
        Assert.Contains("--local-epochs 3 does not divide training.epochs 2", result.Error, StringComparison.Ordinal);
        Assert.Contains("splitlora needs blocks on the clients", result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_work.At("study")));
    }

    public void Dispose() => _work.Dispose();

    /// <summary>Later options replace the earlier ones of the same name.</summary>
    private Task<CommandResult> CompareAsync(params string[] options)
    {
        var given = new List<string>(["compare", _work.At("spec.yaml")]);
        (string Name, string Value)[] defaults =
        [
            ("--partitions", "iid,classes:1"), ("--seeds", "1"), ("--learning-rates", "5e-3"), ("--methods", string.Join(',', SplitFrozen.Comparison.Study.MethodNames.All)),
            ("--parallel", "1"), ("--out", _work.At("study")),
        ];
        foreach (var (name, value) in defaults.Where(option => !options.Contains(option.Name)))
        {
            given.AddRange([name, value]);
        }

        return TinyWorkspace.RunAsync([.. given, .. options]);
    }

    private static JsonElement[] Methods(CommandResult result) =>
        [.. JsonDocument.Parse(Assert.Single(result.Lines)).RootElement.GetProperty("tasks")[0].GetProperty("methods").EnumerateArray()];

    private static void WriteAdapter(PreparedRun run, string folder)
    {
        var problem = new FineTuningProblem(run.Model, run.Data, run.Spec);
        var store = new ActivationStore(run.Data, run.Spec.Device.WireType);
        var trained = SplitFrozenMethod.Train(problem, ClientShare.Of(problem, run.Partition), store, cancellationToken: TestContext.Current.CancellationToken).Trained;
        using var model = UpperModel.Open(run.Model, RunModel.Options(run.Spec, run.Data.Task.Classes));
        foreach (var (parameter, values) in model.Parameters.Zip(trained))
        {
            using var stored = tensor(values.Values, values.Shape);
            _ = parameter.Value.copy_(stored);
        }

        PeftExport.Write(
            model, new AdapterDescription { BaseModel = run.Spec.Model.Path, BaseFingerprint = run.Model.Fingerprint, ClassNames = run.Data.Task.ClassNames }, folder);
    }
}
