using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;
using SplitFrozen.DeviceWorker;
using SplitFrozen.Messaging;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Trainer;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>
/// Device worker, coordinator and trainer in one process, over a model. What outlives a process (cache, ledger, folder) is
/// kept between calls of <see cref="RunAsync"/>; the planes between the services are new each time.
/// </summary>
internal sealed class Pipeline(ModelFolder model) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public string RunId { get; init; } = "run";

    public ulong Seed { get; init; } = 3;

    public TaskKind Kind { get; init; } = TaskKind.Classification;

    public int Clients { get; init; } = 1;

    /// <summary>Deals all samples of one class to the same clients.</summary>
    public bool OneClassPerClient { get; init; }

    public int[] Cuts { get; init; } = [2];

    public DeviceSpec Device { get; init; } = new() { MicroBatch = 1, WireType = WireType.Float32, MessageBytes = 4096 };

    public TrainingSpec Training { get; init; } = new()
    {
        Epochs = 2, BatchSize = 8, LearningRate = 1e-2, CheckpointEverySteps = 3, Schedule = "linear", WarmupRatio = 0.1,
    };

    public int TrainingSamples { get; init; } = 44;

    public int HeldOutSamples { get; init; } = 10;

    public IActivationCache Cache { get; init; } = new MemoryCache();

    public MemoryLedger Ledger { get; } = new();

    public Func<CoordinatorOptions, CoordinatorOptions> Adjust { get; init; } = options => options;

    public ConcurrentQueue<DeviceProgress> Progress { get; } = new();

    public ConcurrentQueue<StepApplied> Applied { get; } = new();

    public ConcurrentQueue<EvaluationFinished> Evaluations { get; } = new();

    public ConcurrentQueue<RunFinished> Finished { get; } = new();

    public InProcessDataPlane Data { get; private set; } = new();

    /// <summary>Called on every applied step.</summary>
    public Action<StepApplied> OnApplied { get; set; } = _ => { };

    /// <summary>Takes the place of a step message on its way to the trainer.</summary>
    public Func<StepMessage, StepMessage> TamperStep { get; init; } = step => step;

    public string Folder => _folder.Path;

    /// <summary>The newest checkpoint: adapter, head, moments and position.</summary>
    public byte[] Checkpoint => File.ReadAllBytes(Directory.EnumerateFiles(Folder, "checkpoint-*.safetensors").Order().Last());

    public ITask Task => new TestTask(Kind, SmallModels.Vocabulary);

    public async Task RunAsync(CancellationToken cancellationToken = default)
    {
        Data = new InProcessDataPlane();
        await using var control = new InProcessControlPlane();
        using var progress = control.Subscribe<DeviceProgress>((message, _) => Add(Progress, message));
        using var evaluations = control.Subscribe<EvaluationFinished>((message, _) => Add(Evaluations, message));
        using var finished = control.Subscribe<RunFinished>((message, _) => Add(Finished, message));
        using var applied = control.Subscribe<StepApplied>((message, _) =>
        {
            OnApplied(message);
            return Add(Applied, message);
        });
        using var limit = Deadline.Token();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        Task[] services =
        [
            Trainer(control).RunAsync(stop.Token), Coordinator(control).RunAsync(stop.Token), Worker(control).RunAsync(stop.Token),
        ];
        await System.Threading.Tasks.Task.WhenAll(services);
        await control.DrainAsync();
        Assert.False(limit.IsCancellationRequested, "the run did not end in time");
        Assert.False(control.FirstFailure.IsCompleted, "a handler failed");
    }

    public void Dispose() => _folder.Dispose();

    private static ValueTask Add<TMessage>(ConcurrentQueue<TMessage> queue, TMessage message)
    {
        queue.Enqueue(message);
        return ValueTask.CompletedTask;
    }

    private TrainerService Trainer(InProcessControlPlane control) => new(
        new TrainerOptions
        {
            RunId = RunId,
            Spec = new RunSpec
            {
                Seed = (long)Seed,
                Model = new ModelSpec { Boundary = 2 },
                Lora = new LoraSpec { Rank = 2, Alpha = 4, Dropout = 0.1, Targets = model.Config.Family == ModelFamily.Gpt2 ? ["c_attn", "c_fc"] : ["q_proj", "up_proj"] },
                Device = Device,
                Training = Training,
            },
            Task = Task,
            LowestCut = Cuts.Min(),
            Folder = Folder,
        },
        model, control, Data, Cache, TimeProvider.System, NullLogger<TrainerService>.Instance);

    private CoordinatorService Coordinator(InProcessControlPlane control) => new(
        Adjust(new CoordinatorOptions
        {
            RunId = RunId,
            Clients = [.. Enumerable.Range(0, Clients).Select(Name)],
            ModelFingerprint = model.Fingerprint,
            Boundary = 2,
            Width = model.Config.Width,
            WireType = Device.WireType,
            LabelsPerToken = Kind == TaskKind.LanguageModel,
            LabelBound = Kind == TaskKind.LanguageModel ? model.Config.VocabularySize : 2,
            MaximumLength = 16,
            Seed = Seed,
            Epochs = Training.Epochs,
            BatchSize = Training.BatchSize,
            Order = Training.Order == "available" ? StepOrder.Available : StepOrder.Planned,
            EvaluationSamples = 4,
            AssignmentSamples = 5,
            RepeatAfter = TimeSpan.FromMilliseconds(50),
        }),
        control, Data, new TamperedSteps(Data, TamperStep), Cache, Ledger, TimeProvider.System, NullLogger<CoordinatorService>.Instance);

    private DeviceWorkerService Worker(InProcessControlPlane control) => new(
        new DeviceWorkerOptions
        {
            RunId = RunId,
            Clients = Deal(),
            WireType = Device.WireType,
            MicroBatch = Device.MicroBatch,
            MessageBytes = Device.MessageBytes,
        },
        model, control, Data, TimeProvider.System, NullLogger<DeviceWorkerService>.Instance);

    private DeviceClient[] Deal()
    {
        var task = new TestTask(Kind, SmallModels.Vocabulary);
        var held = Enumerable.Range(0, Clients).Select(_ => new List<EncodedSample>()).ToArray();
        foreach (var sample in task.Samples(TrainingSamples, heldOut: false, 5).Concat(task.Samples(HeldOutSamples, heldOut: true, 5)))
        {
            var client = OneClassPerClient ? (sample.Class * (Clients / 2)) + (sample.Id.Row % (Clients / 2)) : sample.Id.Row % Clients;
            held[client].Add(sample);
        }

        return [.. held.Select((samples, client) => new DeviceClient(Name(client), Cuts[client % Cuts.Length], samples))];
    }

    private static string Name(int client) => $"client-{client + 1}";

    private sealed class TamperedSteps(IStepPublisher publisher, Func<StepMessage, StepMessage> tamper) : IStepPublisher
    {
        public Task PublishAsync(StepMessage step, CancellationToken cancellationToken) => publisher.PublishAsync(tamper(step), cancellationToken);
    }
}
