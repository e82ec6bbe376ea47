using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Models;
using SplitFrozen.Pipelining;
using SplitFrozen.Services.Tests.Support;
using SplitFrozen.Tasks;
using SplitFrozen.Tests;
using SplitFrozen.Trainer;
using SplitFrozen.Trainer.Hosting;
using SplitFrozen.Trainer.Stages;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;
using SplitFrozen.Training.Pipelining;
using static TorchSharp.torch;

namespace SplitFrozen.Services.Tests.Trainer.Stages;

/// <summary>A leader and its other stages: what they agree on, and what each says when something is wrong.</summary>
public sealed class StageSessionTests(SmallModels models) : IAsyncDisposable
{
    private readonly InProcessControlPlane _control = new();
    private readonly MemoryMailboxes _mailboxes = new();
    private readonly List<StageHost> _hosts = [];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        foreach (var host in _hosts)
        {
            await host.StopAsync(CancellationToken.None);
            host.Dispose();
        }

        await _control.DisposeAsync();
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(2, 2)]
    [InlineData(1, 2)]
    public async Task Steps_OverASession_GiveTheBitsOfStagesInOneProcess(int stages, int replicas)
    {
        using var samples = new Samples(models.Gpt2.Config.Width);
        var options = Options(models.Gpt2.Path, stages, replicas);
        await using var local = await StageSets.OpenLocalAsync(options, models.Gpt2, TimeProvider.System, Token);
        var expected = await TrainAsync(local, options, samples);
        StartHosts(stages, replicas);
        await using var session = await GatherAsync(options, models.Gpt2, stages, replicas);
        Assert.Equal(expected, await TrainAsync(session, options, samples));
    }

    [Fact]
    public async Task Restore_OfOneStagesState_ReachesTheStageThatHasTheParameter()
    {
        using var samples = new Samples(models.Gpt2.Config.Width);
        var options = Options(models.Gpt2.Path, 2, 1);
        StartHosts(2, 1);
        await using var session = await GatherAsync(options, models.Gpt2, 2, 1);
        var tuner = new PipelinedFineTuner(session, PipelineScheduleKind.ZeroBubble, options.Spec.Training, labelsPerToken: false);
        using var before = await tuner.ReadStateAsync();
        var fresh = Bytes(before);
        await using var local = await StageSets.OpenLocalAsync(options, models.Gpt2, TimeProvider.System, Token);
        _ = await TrainAsync(local, options, samples);
        using var trained = await new PipelinedFineTuner(local, PipelineScheduleKind.ZeroBubble, options.Spec.Training, labelsPerToken: false).ReadStateAsync();
        await tuner.RestoreAsync(trained);
        using var after = await tuner.ReadStateAsync();
        Assert.NotEqual(fresh, Bytes(after));
        Assert.Equal(Bytes(trained), Bytes(after));
        Assert.Equal(trained.StepsTaken, after.StepsTaken);
    }

    [Fact]
    public async Task Gather_StageThatHasAnotherModel_NamesItAndBothFingerprints()
    {
        using var folder = new TemporaryFolder();
        ModelInitialization.Write(folder.Path, models.Gpt2.Config, seed: 12);
        using var other = ModelFolder.Open(folder.Path);
        StartHosts(2, 1);
        var fault = await Assert.ThrowsAsync<TrainerException>(() => GatherAsync(Options(models.Gpt2.Path, 2, 1), other, 2, 1));
        Assert.Contains("Trainer 'host 1.2' cannot be stage 1.2", fault.Message, StringComparison.Ordinal);
        Assert.Contains(models.Gpt2.Fingerprint, fault.Message, StringComparison.Ordinal);
        Assert.Contains(other.Fingerprint, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Gather_StageThatCannotOpenTheModel_SaysWhatItLacks()
    {
        StartHosts(2, 1);
        var fault = await Assert.ThrowsAsync<TrainerException>(() => GatherAsync(Options("/nowhere/at-all", 2, 1), models.Gpt2, 2, 1));
        Assert.Contains("/nowhere/at-all", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Gather_ConnectionLostWhileStagesAreMissing_IsLostAndDoesNotWaitForEver()
    {
        var gathering = GatherAsync(Options(models.Gpt2.Path, 2, 1), models.Gpt2, 2, 1);
        await _mailboxes.FirstOpen;
        _mailboxes.Cut();
        await Assert.ThrowsAsync<StageLostException>(() => gathering);
    }

    [Fact]
    public async Task Step_SomebodyListens_IsOneTraceOverAllStages()
    {
        using var samples = new Samples(models.Gpt2.Config.Width);
        var options = Options(models.Gpt2.Path, 2, 1);
        StartHosts(2, 1);
        await using var session = await GatherAsync(options, models.Gpt2, 2, 1);
        using var commands = new RecordedActivities(TelemetryNames.Trainer);
        using var passes = new RecordedActivities(TelemetryNames.Training);
        _ = await TrainAsync(session, options, samples);
        var steps = passes.Ended.Where(span => span.OperationName == SpanNames.TrainStep).ToDictionary(span => span.SpanId);
        var computed = commands.Ended.Where(span => (string?)span.GetTagItem(TelemetryNames.Command) == "Compute" && steps.ContainsKey(span.ParentSpanId)).ToArray();
        Assert.Equal(steps.Count, computed.Length);
        Assert.All(computed, command =>
        {
            Assert.Equal(steps[command.ParentSpanId].TraceId, command.TraceId);
            Assert.Contains(passes.Ended, span => span.ParentSpanId == command.SpanId && span.OperationName == SpanNames.BackwardWeight);
        });
    }

    [Fact]
    public async Task Step_ThatAStageCannotCompute_FailsWithItsWords()
    {
        using var samples = new Samples(models.Gpt2.Config.Width);
        var options = Options(models.Gpt2.Path, 2, 1);
        StartHosts(2, 1);
        await using var session = await GatherAsync(options, models.Gpt2, 2, 1);
        var tuner = new PipelinedFineTuner(session, PipelineScheduleKind.ZeroBubble, options.Spec.Training, labelsPerToken: false);
        TrainingSample[] bad = [samples.All[0], samples.All[1] with { Labels = [99] }];
        var fault = await Assert.ThrowsAsync<TrainerException>(() => tuner.TrainAsync(0, 0.01, bad, Token));
        Assert.Contains("Stage 1.2: ", fault.Message, StringComparison.Ordinal);
        Assert.Contains("Label 99", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Step_WhenAStageIsGone_IsLostAndANewSessionBegins()
    {
        using var samples = new Samples(models.Gpt2.Config.Width);
        var options = Options(models.Gpt2.Path, 2, 1);
        StartHosts(2, 1);
        await using var session = await GatherAsync(options, models.Gpt2, 2, 1);
        await _hosts[0].StopAsync(Token);
        await Assert.ThrowsAsync<StageLostException>(() => TrainAsync(session, options, samples));
        StartHosts(2, 1);
        await using var second = await GatherAsync(options, models.Gpt2, 2, 1);
        Assert.NotEmpty(await TrainAsync(second, options, samples));
    }

    [Theory]
    [InlineData("0/2", "1/1")]
    [InlineData("3/2", "1/1")]
    [InlineData("2", "1/1")]
    [InlineData("a/b", "1/1")]
    [InlineData("1/1", "1/99")]
    public void Role_ThatIsNoPlace_SaysWhatIsExpected(string stage, string replica) =>
        Assert.Contains("such as 1/3", Assert.Throws<TrainerException>(() => StageRole.Parse(stage, replica)).Message, StringComparison.Ordinal);

    private static async Task<byte[]> TrainAsync(StageSet stages, TrainerOptions options, Samples samples)
    {
        var tuner = new PipelinedFineTuner(stages, PipelineScheduleKind.ZeroBubble, options.Spec.Training, labelsPerToken: false);
        var evaluation = new EvaluationAccumulator(options.Task);
        for (var step = 0; step < 4; step++)
        {
            _ = await tuner.TrainAsync(step, 0.01, samples.All[step..], Token);
        }

        await tuner.EvaluateIntoAsync(evaluation, samples.All, Token);
        using var state = await tuner.ReadStateAsync();
        return [.. Bytes(state), .. BitConverter.GetBytes(evaluation.Loss)];
    }

    private static byte[] Bytes(TrainingState state) => [.. state.Parameters.SelectMany(parameter => (byte[])[
        .. Torch.TensorBytes.ToBytes(parameter.Value), .. Torch.TensorBytes.ToBytes(parameter.FirstMoment), .. Torch.TensorBytes.ToBytes(parameter.SecondMoment)])];

    private static TrainerOptions Options(string modelPath, int stages, int replicas) => new()
    {
        RunId = "run",
        Spec = new RunSpec
        {
            Seed = 3,
            Model = new ModelSpec { Path = modelPath, Boundary = 2 },
            Lora = new LoraSpec { Rank = 2, Alpha = 4, Dropout = 0.1, Targets = ["c_attn", "c_fc"] },
            Task = new TaskSpec { Kind = "classification", Classes = ["even", "odd"], TextColumns = ["text"], MaxLength = 16 },
            Clients = new ClientsSpec { Partition = ClientPartitions.Devices },
            Training = new TrainingSpec { BatchSize = 8, MicroBatch = 2, Stages = stages, Replicas = replicas },
        },
        Task = new TestTask(TaskKind.Classification, SmallModels.Vocabulary),
        LowestCut = 0,
        Folder = "unused",
    };

    private Task<StageSession> GatherAsync(TrainerOptions options, ModelFolder model, int stages, int replicas) => StageSession.GatherAsync(
        new StageSessionSetup(
            options, model, new StageRole(0, stages, 0, replicas), stages == 1 ? [2, 4] : [2, 3, 4], _control, _mailboxes, TimeProvider.System, NullLogger.Instance),
        Token);

    private void StartHosts(int stages, int replicas)
    {
        foreach (var member in new StageRole(0, stages, 0, replicas).Others)
        {
            var (replica, stage) = (member.Split('.')[0], member.Split('.')[1]);
            var options = new TrainerHostOptions { Name = $"host {member}", Stage = $"{stage}/{stages}", Replica = $"{replica}/{replicas}" };
            var host = new StageHost(Microsoft.Extensions.Options.Options.Create(options), _control, _mailboxes, TimeProvider.System, NullLogger<StageHost>.Instance);
            _hosts.Add(host);
            _ = host.StartAsync(Token);
        }
    }

    private sealed class Samples : IDisposable
    {
        public Samples(int width)
        {
            using var generator = new Generator(5);
            All = [.. Enumerable.Range(0, 12).Select(n => new TrainingSample(SampleId.Training(n), 2 - (n % 2), randn([3 + (n % 4), width], generator: generator), [n % 2]))];
        }

        public TrainingSample[] All { get; }

        public void Dispose() => Array.ForEach(All, sample => sample.Hidden.Dispose());
    }
}
