using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Tests.Planning;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;
using SplitFrozen.Messaging;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A coordinator between devices and a trainer that hold no model, over in-process planes.</summary>
public abstract class CoordinatedRun : IAsyncDisposable
{
    private protected const string Run = "run";
    private protected readonly InProcessControlPlane _control = new();
    private protected readonly InProcessDataPlane _data = new();
    private protected readonly ConcurrentQueue<MessageRejected> _rejected = new();
    private protected readonly ConcurrentQueue<RunPlanned> _planned = new();
    private protected readonly ConcurrentQueue<SamplesFailed> _failed = new();
    private protected MemoryLedger _ledger = new();
    private protected MemoryCache _cache = new();

    protected CoordinatedRun()
    {
        _control.Subscribe<MessageRejected>((message, _) => Add(_rejected, message));
        _control.Subscribe<RunPlanned>((message, _) => Add(_planned, message));
        _control.Subscribe<SamplesFailed>((message, _) => Add(_failed, message));
    }

    /// <summary>Whether a device serves a client.</summary>
    private protected Func<string, bool> IsServed { get; set; } = _ => true;

    public async ValueTask DisposeAsync()
    {
        await _control.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private protected static CoordinatorOptions Options(int clients) => new()
    {
        RunId = Run,
        Clients = [.. Enumerable.Range(0, clients).Select(n => $"c{n}")],
        ModelFingerprint = FakeDevice.Fingerprint,
        Boundary = 2,
        Width = FakeDevice.Width,
        WireType = WireType.Float32,
        LabelsPerToken = false,
        LabelBound = FakeDevice.Classes,
        MaximumLength = 16,
        Seed = 5,
        Epochs = 3,
        BatchSize = 8,
        EvaluationSamples = 4,
        AssignmentSamples = 3,
        OutstandingSamples = 9,
        RepeatAfter = TimeSpan.FromMilliseconds(20),
    };

    private static ValueTask Add<TMessage>(ConcurrentQueue<TMessage> queue, TMessage message)
    {
        queue.Enqueue(message);
        return ValueTask.CompletedTask;
    }

    private protected static IEnumerable<string> Compositions(IEnumerable<StepMessage> steps) =>
        steps.Select(step => string.Join(',', step.Samples.Select(sample => sample.Id)));

    /// <summary>Every sample in one step per epoch, but for those named.</summary>
    private protected static void AssertExactlyOnce(
        IReadOnlyCollection<StepMessage> applied, int training, int heldOut, int epochs, params IReadOnlyCollection<SampleId> without)
    {
        for (var epoch = 0; epoch < epochs; epoch++)
        {
            Assert.Equal(
                Enumerable.Range(0, training).Select(SampleId.Training).Except(without),
                applied.Where(step => step.Kind == StepKind.Train && step.Epoch == epoch).SelectMany(step => step.Samples).Select(sample => sample.Id).Order());
        }

        for (var trained = 0; trained <= epochs; trained++)
        {
            Assert.Equal(
                Enumerable.Range(0, heldOut).Select(SampleId.Evaluation).Except(without),
                applied.Where(step => step.Kind == StepKind.Evaluate && step.Epoch == trained).SelectMany(step => step.Samples).Select(sample => sample.Id));
        }
    }

    private protected FakeDevice[] Devices(int clients, int training, int heldOut)
    {
        var ids = SampleIds.Of(training, heldOut);
        return [.. Enumerable.Range(0, clients).Select(n => new FakeDevice(Run, $"c{n}", [.. ids.Where((_, i) => i % clients == n)], _control, _data))];
    }

    private protected FakeTrainer Trainer() => new(Run, _control, _data, _cache);

    private protected CoordinatorService Coordinator(CoordinatorOptions options) =>
        new(options, _control, _data, _data, _cache, _ledger, TimeProvider.System, NullLogger<CoordinatorService>.Instance, client => IsServed(client));

    private protected async Task CompleteAsync(CoordinatorOptions options, FakeTrainer trainer)
    {
        using var limit = Deadline.Token();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(limit.Token);
        var training = trainer.RunAsync(stop.Token);
        try
        {
            await Coordinator(options).RunAsync(limit.Token);
            Assert.False(limit.IsCancellationRequested, "the run did not end in time");
        }
        finally
        {
            await stop.CancelAsync();
            await training.ContinueWith(_ => { }, TaskScheduler.Default);
        }
    }
}
