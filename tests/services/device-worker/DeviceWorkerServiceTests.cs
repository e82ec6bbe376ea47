using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.DeviceWorker;
using SplitFrozen.Messaging;
using SplitFrozen.Services.Tests.Support;
using SplitFrozen.Tasks;

namespace SplitFrozen.Services.Tests.DeviceWorker;

public sealed class DeviceWorkerServiceTests(SmallModels models)
{
    private readonly DirectControlPlane _control = new();
    private readonly EncodedSample[] _samples = new TestTask(TaskKind.Classification, SmallModels.Vocabulary).Samples(30, false, 1);

    [Fact]
    public async Task Run_QueueFull_BacksOffSendsTheSameMessageAgainAndWorksAheadByFewMessages()
    {
        var publisher = new FullQueue(refusals: 3);
        var time = new FakeTimeProvider();
        using var stop = Deadline.Token();
        var progress = new ConcurrentQueue<DeviceProgress>();
        using var seen = _control.Subscribe<DeviceProgress>((message, _) =>
        {
            progress.Enqueue(message);
            return ValueTask.CompletedTask;
        });
        var worker = Worker(publisher, time).RunAsync(stop.Token);
        await RegisteredAsync(stop.Token);
        await _control.PublishAsync(new WorkAssigned("run", "client", 0, 0, [.. _samples.Select(sample => sample.Id)]), stop.Token);

        await Deadline.UntilAsync(() => publisher.Bodies.Count == 1, "the first message is tried");
        Assert.Empty(progress);
        for (var tries = 2; tries <= 4; tries++)
        {
            await Deadline.UntilAsync(
                () =>
                {
                    time.Advance(TimeSpan.FromSeconds(2));
                    return publisher.Bodies.Count >= tries;
                },
                $"attempt {tries}");
        }

        await Deadline.UntilAsync(() => progress.Sum(message => message.Samples) == 30, "all is published");
        var bodies = publisher.Bodies.ToArray();
        Assert.All(bodies[1..4], body => Assert.Equal(bodies[0], body));
        Assert.True(bodies.Length > 4);
        await _control.PublishAsync(new RunFinished("run", 1), stop.Token);
        await worker;
        Assert.False(stop.IsCancellationRequested);
    }

    [Fact]
    public async Task Run_SeveralAssignments_DoesWhatIsNeededFirst()
    {
        var publisher = new FullQueue(refusals: 1);
        var time = new FakeTimeProvider();
        using var stop = Deadline.Token();
        var finished = new ConcurrentQueue<long>();
        using var seen = Finished(finished);
        var worker = Worker(publisher, time).RunAsync(stop.Token);
        await RegisteredAsync(stop.Token);

        // Enough to keep the worker busy, while its first message is refused, until all assignments are there.
        await _control.PublishAsync(new WorkAssigned("run", "client", 0, 50, [.. _samples[..24].Select(sample => sample.Id)]), stop.Token);
        await Deadline.UntilAsync(() => publisher.Bodies.Count == 1, "the first message is tried");
        long[] needed = [40, 10, 30, 20];
        for (var sequence = 1; sequence <= 4; sequence++)
        {
            await _control.PublishAsync(new WorkAssigned("run", "client", sequence, needed[sequence - 1], [_samples[24 + sequence].Id]), stop.Token);
        }

        await Deadline.UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(2));
                return finished.Count == 5;
            },
            "all work is finished");
        Assert.Equal([0, 2, 4, 3, 1], finished);
        await stop.CancelAsync();
        await worker;
    }

    [Fact]
    public async Task Run_AnAssignmentToldAgain_IsDoneOnceAndSaidToBeFinishedAgain()
    {
        var publisher = new FullQueue(refusals: 1);
        var time = new FakeTimeProvider();
        using var stop = Deadline.Token();
        var finished = new ConcurrentQueue<long>();
        using var seen = Finished(finished);
        var worker = Worker(publisher, time).RunAsync(stop.Token);
        await RegisteredAsync(stop.Token);
        var assignment = new WorkAssigned("run", "client", 3, 0, [_samples[0].Id]);
        await _control.PublishAsync(assignment, stop.Token);
        await Deadline.UntilAsync(() => publisher.Bodies.Count == 1, "the message is tried");

        // While it is in hand.
        await _control.PublishAsync(assignment, stop.Token);
        await UntilFinishedAsync(1);
        var sent = publisher.Bodies.Count;

        // And when it is done; behind another, which shows that nothing of it is still to come.
        await _control.PublishAsync(assignment, stop.Token);
        await UntilFinishedAsync(2);
        await _control.PublishAsync(new WorkAssigned("run", "client", 4, 0, [_samples[1].Id]), stop.Token);
        await UntilFinishedAsync(3);
        Assert.Equal([3, 3, 4], finished);
        Assert.Equal(sent + 1, publisher.Bodies.Count);
        await stop.CancelAsync();
        await worker;

        Task UntilFinishedAsync(int count) => Deadline.UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(2));
                return finished.Count >= count;
            },
            $"{count} times finished");
    }

    [Fact]
    public async Task Run_Work_SendsTheHiddenStatesThatTheModelGives()
    {
        var publisher = new FullQueue(refusals: 0);
        using var stop = Deadline.Token();
        var finished = new TaskCompletionSource<WorkFinished>();
        using var seen = _control.Subscribe<WorkFinished>((message, _) =>
        {
            finished.TrySetResult(message);
            return ValueTask.CompletedTask;
        });
        var worker = Worker(publisher, TimeProvider.System).RunAsync(stop.Token);
        await RegisteredAsync(stop.Token);

        // A sample that the client does not hold is passed over.
        await _control.PublishAsync(new WorkAssigned("run", "client", 7, 0, [_samples[3].Id, SampleId.Training(999)]), stop.Token);
        Assert.Equal(7, (await finished.Task.WaitAsync(stop.Token)).Sequence);
        await stop.CancelAsync();
        await worker;

        Assert.True(ActivationBatchCodec.TryDecode(Assert.Single(publisher.Bodies), new WireLimits(), out var batch, out _));
        Assert.Equal([_samples[3].Id], batch.SampleIds);
        Assert.Equal(_samples[3].Labels, batch.Labels);
        using var compute = new Torch.ComputeThread("test", 1);
        var expected = await compute.RunAsync(
            () =>
            {
                using var encoder = SplitFrozen.Models.FrozenEncoder.Open(models.Gpt2, 1);
                using var layout = new SplitFrozen.Models.SequenceLayout([_samples[3].Tokens.Length]);
                using var hidden = encoder.Encode(_samples[3].Tokens, layout);
                return Torch.TensorBytes.ToBytes(hidden);
            },
            TestContext.Current.CancellationToken);
        Assert.Equal(expected, batch.HiddenStates.ToArray());
    }

    private IDisposable Finished(ConcurrentQueue<long> numbers) => _control.Subscribe<WorkFinished>((message, _) =>
    {
        numbers.Enqueue(message.Sequence);
        return ValueTask.CompletedTask;
    });

    private DeviceWorkerService Worker(IActivationPublisher publisher, TimeProvider time) => new(
        new DeviceWorkerOptions
        {
            RunId = "run",
            Clients = [new DeviceClient("client", 1, _samples), new DeviceClient("deeper", 2, [])],
            WireType = WireType.Float32,
            MicroBatch = 1,
            MessageBytes = 3000,
        },
        models.Gpt2, _control, publisher, time, NullLogger<DeviceWorkerService>.Instance);

    private async Task RegisteredAsync(CancellationToken cancellationToken)
    {
        var registered = new TaskCompletionSource();
        using var seen = _control.Subscribe<ClientRegistered>((message, _) =>
        {
            registered.TrySetResult();
            return ValueTask.CompletedTask;
        });
        while (!registered.Task.IsCompleted)
        {
            await _control.PublishAsync(new CoordinatorReady("run"), cancellationToken);
            await Task.WhenAny(registered.Task, Task.Delay(5, cancellationToken));
        }
    }

    private sealed class FullQueue(int refusals) : IActivationPublisher
    {
        private int _refusals = refusals;

        public ConcurrentQueue<byte[]> Bodies { get; } = new();

        public Task<PublishOutcome> PublishAsync(string runId, string clientId, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
        {
            Bodies.Enqueue(body.ToArray());
            return Task.FromResult(_refusals-- > 0 ? PublishOutcome.QueueFull : PublishOutcome.Confirmed);
        }
    }
}
