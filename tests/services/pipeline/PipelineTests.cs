using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Services.Tests.Support;
using SplitFrozen.Tasks;

namespace SplitFrozen.Services.Tests.Pipelines;

/// <summary>Device worker, coordinator and trainer together, over a small untrained model.</summary>
public sealed class PipelineTests(SmallModels models)
{
    private static readonly TrainingSpec Available = new()
    {
        Epochs = 2, BatchSize = 8, LearningRate = 1e-2, CheckpointEverySteps = 3, Order = "available",
    };

    [Theory]
    [InlineData("gpipe", 1)]
    [InlineData("zb", 2)]
    public async Task RunAsync_OverStages_WritesTheCheckpointOfOneAndDrawsTheTimeline(string schedule, int stages)
    {
        var training = new TrainingSpec { Epochs = 2, BatchSize = 8, MicroBatch = 3, LearningRate = 1e-2, CheckpointEverySteps = 3 };
        using var one = await CompletedAsync(new Pipeline(models.Gpt2) { Training = training });
        using var staged = await CompletedAsync(new Pipeline(models.Gpt2) { Training = training with { Stages = stages, Pipeline = schedule } });
        Assert.Equal(one.Checkpoint, staged.Checkpoint);
        Assert.Equal(one.Evaluations.Select(evaluation => evaluation.Metrics["loss"]), staged.Evaluations.Select(evaluation => evaluation.Metrics["loss"]));
        Assert.Equal(stages > 1, File.Exists(Path.Combine(staged.Folder, "timeline.svg")));
    }

    [Fact]
    public async Task Run_EightOneClassClients_GivesTheBytesOfOneClient()
    {
        using var one = await CompletedAsync(new Pipeline(models.Gpt2));
        using var eight = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 8, OneClassPerClient = true });
        Assert.Equal(one.Checkpoint, eight.Checkpoint);
        Assert.Equal(one.Evaluations.Select(Described), eight.Evaluations.Select(Described));
    }

    [Fact]
    public async Task Run_OtherSeed_GivesOtherBytes()
    {
        using var one = await CompletedAsync(new Pipeline(models.Gpt2));
        using var other = await CompletedAsync(new Pipeline(models.Gpt2) { Seed = 4 });
        Assert.NotEqual(one.Checkpoint, other.Checkpoint);
    }

    [Theory]
    [InlineData(WireType.Float32)]
    [InlineData(WireType.Float16)]
    [InlineData(WireType.Int8)]
    public async Task Run_SamplesComputedTogether_GivesTheSameBytes(WireType wireType)
    {
        var device = new DeviceSpec { MicroBatch = 1, WireType = wireType, MessageBytes = 4096 };
        using var alone = await CompletedAsync(new Pipeline(models.Gpt2) { Device = device });
        using var together = await CompletedAsync(
            new Pipeline(models.Gpt2) { Clients = 8, OneClassPerClient = true, Device = device with { MicroBatch = 16 } });
        Assert.Equal(alone.Checkpoint, together.Checkpoint);
    }

    [Fact]
    public async Task Run_DifferentCutsOnTheExactWire_GivesTheBytesOfOneCut()
    {
        using var uniform = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 3 });
        using var mixed = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 3, Cuts = [0, 1, 2] });
        Assert.Equal(uniform.Checkpoint, mixed.Checkpoint);
        Assert.True(mixed.Progress.Sum(message => message.ForwardFlops) < uniform.Progress.Sum(message => message.ForwardFlops));
    }

    [Fact]
    public async Task Run_TwoEpochsAndASecondRun_ComputeEverySampleOnce()
    {
        using var first = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 4 });
        Assert.Equal(54, first.Progress.Sum(message => message.Samples));
        Assert.True(first.Progress.Sum(message => message.ForwardFlops) > 0);

        using var second = await CompletedAsync(new Pipeline(models.Gpt2) { RunId = "second", Clients = 4, Cache = first.Cache });
        Assert.Empty(second.Progress);
        Assert.Equal(
            CheckpointValues.Read(first.Checkpoint).SelectMany(entry => entry.Value),
            CheckpointValues.Read(second.Checkpoint).SelectMany(entry => entry.Value));
    }

    [Fact]
    public async Task Run_Reported_CountsFlopsByFormulaAndTellsMetricsBeforeAndAfter()
    {
        using var run = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 2 });
        var task = new TestTask(TaskKind.Classification, SmallModels.Vocabulary);
        var lengths = task.Samples(44, false, 5).Concat(task.Samples(10, true, 5)).Select(sample => sample.Tokens.Length).ToArray();
        Assert.Equal(FrozenEncoder.ForwardFlops(models.Gpt2.Config, 2, lengths), run.Progress.Sum(message => message.ForwardFlops));
        Assert.Equal(lengths.Sum(), run.Progress.Sum(message => message.Tokens));
        Assert.Equal([(0, 0, 10), (1, 6, 10), (2, 12, 10)], run.Evaluations.Select(message => (message.EpochsTrained, message.Step, message.Samples)));
        Assert.All(run.Evaluations, message => Assert.Equal(["accuracy", "f1", "loss"], message.Metrics.Keys.Order()));

        // An untrained head of small weights knows nothing: its loss is that of a coin.
        Assert.Equal(Math.Log(2), run.Evaluations.First().Metrics["loss"], 0.05);
        Assert.NotEqual(run.Evaluations.First().Metrics["loss"], run.Evaluations.Last().Metrics["loss"]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public async Task Run_StepWithSamplesThatAreTrainedAlready_IsRefusedAndComposedAnew(int at)
    {
        using var undisturbed = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 2 });
        StepMessage? before = null;
        var instances = new HashSet<string>();
        using var disturbed = await CompletedAsync(new Pipeline(models.Gpt2)
        {
            Clients = 2,
            TamperStep = step =>
            {
                // What a coordinator would publish that has forgotten what it composed; the first time only.
                instances.Add(step.Instance);
                var wrong = step.Kind == StepKind.Train && step.Step == at && instances.Count == 1 ? step with { Samples = before!.Samples } : step;
                before = step;
                return wrong;
            },
        });
        Assert.Equal(2, instances.Count);
        Assert.Equal(undisturbed.Checkpoint, disturbed.Checkpoint);
        var log = CheckpointValues.StepLog(disturbed.Folder);
        Assert.All(log.GroupBy(step => step.Epoch), epoch => Assert.Equal(44, epoch.SelectMany(step => step.Samples).Distinct().Count()));
        Assert.Equal(2 * 44, log.Sum(step => step.Samples.Length));
    }

    [Fact]
    public async Task Run_EntriesEvicted_RecomputesThemAndGivesTheSameBytes()
    {
        var cache = new MemoryCache();
        using var undisturbed = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 4 });
        using var disturbed = new Pipeline(models.Gpt2) { Clients = 4, Cache = cache };
        var steps = 0;
        disturbed.OnApplied = _ =>
        {
            if (++steps is 3 or 7)
            {
                cache.Clear();
            }
        };
        await disturbed.RunAsync(TestContext.Current.CancellationToken);
        Assert.Equal(undisturbed.Checkpoint, disturbed.Checkpoint);
        Assert.True(disturbed.Progress.Sum(message => message.Samples) > 54);
    }

    [Fact]
    public async Task Run_EntriesDamaged_RecomputesThemAndGivesTheSameBytes()
    {
        var cache = new MemoryCache();
        using var first = await CompletedAsync(new Pipeline(models.Gpt2) { Cache = cache });
        cache.Damage();
        using var second = await CompletedAsync(new Pipeline(models.Gpt2) { Cache = cache });
        Assert.Equal(first.Checkpoint, second.Checkpoint);
        Assert.Equal(18, second.Progress.Sum(message => message.Samples));
    }

    [Fact]
    public async Task Run_CacheOfTwoBatches_GivesTheSameBytes()
    {
        using var undisturbed = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 4 });
        using var small = await CompletedAsync(new Pipeline(models.Gpt2)
        {
            Clients = 4, Cache = new MemoryCache(24), Adjust = options => options with { WorkAheadBytes = 12_000, StepsAhead = 2 },
        });
        Assert.Equal(undisturbed.Checkpoint, small.Checkpoint);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Run_StoppedAndResumed_GivesTheBytesOfAnUndisturbedRun(ulong seed)
    {
        using var undisturbed = await CompletedAsync(new Pipeline(models.Gpt2) { Clients = 4 });
        using var interrupted = new Pipeline(models.Gpt2) { Clients = 4 };
        await RunWithStopsAsync(interrupted, seed);
        Assert.Equal(undisturbed.Checkpoint, interrupted.Checkpoint);
        Assert.Equal(
            File.ReadAllLines(Path.Combine(undisturbed.Folder, "steps.jsonl")), File.ReadAllLines(Path.Combine(interrupted.Folder, "steps.jsonl")));
    }

    [Fact]
    public async Task Run_CheckpointOlderThanTheLog_RepeatsTheStepsAndGivesTheSameBytes()
    {
        using var undisturbed = await CompletedAsync(new Pipeline(models.Gpt2));
        using var killed = new Pipeline(models.Gpt2);
        await RunUntilAsync(killed, 8);

        // A killed process leaves an older checkpoint and a longer, torn log behind.
        File.Delete(Directory.EnumerateFiles(killed.Folder, "checkpoint-*").Order().Last());
        await File.AppendAllTextAsync(Path.Combine(killed.Folder, "steps.jsonl"), "{\"sequence\":10,\"epo", TestContext.Current.CancellationToken);
        await killed.RunAsync(TestContext.Current.CancellationToken);
        Assert.Equal(undisturbed.Checkpoint, killed.Checkpoint);
        Assert.Equal(CheckpointValues.StepLog(undisturbed.Folder).Select(step => step.Sequence), CheckpointValues.StepLog(killed.Folder).Select(step => step.Sequence));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Run_AvailableOrder_TrainsEverySampleOncePerEpoch(int? stopSeed)
    {
        using var run = new Pipeline(models.Gpt2) { Clients = 5, Training = Available };
        if (stopSeed is { } seed)
        {
            await RunWithStopsAsync(run, (ulong)seed);
        }
        else
        {
            await run.RunAsync(TestContext.Current.CancellationToken);
        }

        var log = CheckpointValues.StepLog(run.Folder);
        for (var epoch = 0; epoch < 2; epoch++)
        {
            Assert.Equal(Enumerable.Range(0, 44).Select(row => (long)row), log.Where(step => step.Epoch == epoch).SelectMany(step => step.Samples).Order());
        }

        // Trainer and coordinator counted apart and agree.
        var recorded = run.Ledger.Steps.ToDictionary(bytes => BitConverter.ToInt64(bytes), bytes => Ids(bytes));
        Assert.All(log, step => Assert.Equal(recorded[step.Sequence], step.Samples));
    }

    [Fact]
    public async Task Run_FinishedBefore_EndsAtOnceAndChangesNothing()
    {
        using var run = await CompletedAsync(new Pipeline(models.Gpt2));
        var (before, steps) = (run.Checkpoint, run.Applied.Count);
        await run.RunAsync(TestContext.Current.CancellationToken);
        Assert.Equal(before, run.Checkpoint);
        Assert.Equal(steps, run.Applied.Count);
        Assert.Equal(2, run.Finished.Count);
    }

    [Fact]
    public async Task Run_HostileMessage_IsBuriedAndTheRunCompletes()
    {
        using var undisturbed = await CompletedAsync(new Pipeline(models.Gpt2));
        using var attacked = new Pipeline(models.Gpt2);
        var attack = 0;
        attacked.OnApplied = _ =>
        {
            if (attack++ == 0)
            {
                attacked.Data.PublishAsync("run", "client-1", new byte[] { 1, 2, 3 }, CancellationToken.None).GetAwaiter().GetResult();
            }
        };
        await attacked.RunAsync(TestContext.Current.CancellationToken);
        Assert.Equal(undisturbed.Checkpoint, attacked.Checkpoint);
        Assert.Equal("client-1", Assert.Single(attacked.Data.DeadLetters).ClientId);
    }

    [Theory]
    [InlineData(TaskKind.LanguageModel, WireType.Float16)]
    [InlineData(TaskKind.Classification, WireType.Int8)]
    [InlineData(TaskKind.LanguageModel, WireType.BFloat16)]
    public async Task Run_LlamaOverEachWireType_LearnsAndReportsItsMetrics(TaskKind kind, WireType wireType)
    {
        using var run = await CompletedAsync(new Pipeline(models.Llama)
        {
            Clients = 3, Kind = kind, Cuts = [2, 1], Device = new DeviceSpec { MicroBatch = 4, WireType = wireType },
        });
        Assert.True(run.Evaluations.Last().Metrics["loss"] < run.Evaluations.First().Metrics["loss"] + 0.1);
        Assert.Contains(kind == TaskKind.LanguageModel ? "token_accuracy" : "accuracy", run.Evaluations.Last().Metrics.Keys);
    }

    private static IEnumerable<long> Ids(byte[] record) => Enumerable.Range(1, (record.Length / sizeof(long)) - 1).Select(n => BitConverter.ToInt64(record, n * sizeof(long)));

    private static string Described(EvaluationFinished message) =>
        $"{message.EpochsTrained} {message.Step} {string.Join(' ', message.Metrics.OrderBy(metric => metric.Key).Select(metric => $"{metric.Key}={metric.Value:r}"))}";

    private static async Task<Pipeline> CompletedAsync(Pipeline pipeline)
    {
        await pipeline.RunAsync(TestContext.Current.CancellationToken);
        Assert.Single(pipeline.Finished);
        return pipeline;
    }

    /// <summary>Stops the run after a few steps, again and again, until it finishes.</summary>
    private static async Task RunWithStopsAsync(Pipeline pipeline, ulong seed)
    {
        var random = new SeededRandom(seed);
        var stops = 0;
        while (pipeline.Finished.IsEmpty)
        {
            await RunUntilAsync(pipeline, 1 + random.NextInt32(5));
            stops++;
        }

        Assert.True(stops > 2);
    }

    private static async Task RunUntilAsync(Pipeline pipeline, int steps)
    {
        using var stop = new CancellationTokenSource();
        var left = steps;
        pipeline.OnApplied = _ =>
        {
            if (--left == 0)
            {
                stop.Cancel();
            }
        };
        await pipeline.RunAsync(stop.Token);
        pipeline.OnApplied = _ => { };
    }
}
