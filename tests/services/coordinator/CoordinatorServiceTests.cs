using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Planning;
using SplitFrozen.Contracts.Tests.Planning;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>The coordinator between devices and a trainer that hold no model.</summary>
public sealed class CoordinatorServiceTests : CoordinatedRun
{
    [Theory]
    [InlineData(StepOrder.Planned)]
    [InlineData(StepOrder.Available)]
    public async Task Run_SeveralClients_TrainsEverySampleOncePerEpochAndAsksOnce(StepOrder order)
    {
        var devices = Devices(5, 47, 13);
        var trainer = Trainer();
        await CompleteAsync(Options(5) with { Order = order }, trainer);

        AssertExactlyOnce(trainer.Applied, 47, 13, epochs: 3);
        Assert.Equal(60, devices.Sum(device => device.Asked.Count));
        Assert.Equal(60, _cache.Stored);
        Assert.Equal(trainer.Applied.Select(step => step.Sequence), Enumerable.Range(0, trainer.Applied.Count).Select(n => (long)n));
        Assert.Equal(trainer.Applied.Count, _ledger.Steps.Count);
        Assert.Empty(_rejected);
        Assert.Equal((47, 13, 0, 18), Assert.Single(_planned) is { } planned
            ? (planned.TrainSamples, planned.EvaluationSamples, planned.CachedSamples, planned.TotalSteps) : default);
    }

    [Fact]
    public async Task Run_PlannedOrder_ComposesTheSameStepsForAnyClients()
    {
        var one = Trainer();
        Devices(1, 47, 13);
        await CompleteAsync(Options(1), one);
        await using var other = new CoordinatorServiceTests();
        other.Devices(7, 47, 13);
        var many = other.Trainer();
        await other.CompleteAsync(Options(7), many);
        Assert.Equal(Compositions(one.Applied), Compositions(many.Applied));
    }

    [Fact]
    public async Task Run_EverythingCached_AsksForNothing()
    {
        Devices(3, 20, 4);
        await CompleteAsync(Options(3), Trainer());
        _data.DeleteRun(Run);
        await using var second = new CoordinatorServiceTests { _cache = _cache };
        var devices = second.Devices(3, 20, 4);
        await second.CompleteAsync(Options(3), second.Trainer());
        Assert.All(devices, device => Assert.Empty(device.Asked));
        Assert.Equal(24, Assert.Single(second._planned).CachedSamples);
    }

    [Fact]
    public async Task Run_EntriesEvictedBeforeAStep_AsksAgainAndRepeatsTheStep()
    {
        var devices = Devices(3, 30, 5);
        var undisturbed = new TrainingPlan(SampleIds.Of(30, 5), 5, 3, 8, 4);
        var trainer = Trainer();
        var evicted = 0;
        trainer.BeforeStep = step =>
        {
            if (step.Sequence % 3 == 0 && evicted < 6)
            {
                evicted++;
                _cache.Evict(step.Samples[0].CacheKey);
            }

            return Task.CompletedTask;
        };
        await CompleteAsync(Options(3), trainer);
        Assert.Equal(35 + 6, devices.Sum(device => device.Asked.Count));
        AssertExactlyOnce(trainer.Applied, 30, 5, epochs: 3);
        Assert.Equal(
            Enumerable.Range(0, (int)undisturbed.SequenceCount).Select(n => string.Join(',', undisturbed.Samples(undisturbed.At(n)).ToArray())),
            Compositions(trainer.Applied));
    }

    [Theory]
    [InlineData(StepOrder.Planned)]
    [InlineData(StepOrder.Available)]
    public async Task Run_CacheSmallerThanTheData_Completes(StepOrder order)
    {
        _cache = new MemoryCache(30);
        Devices(3, 80, 0);
        var trainer = Trainer();

        // Room for about two batches ahead; the cache holds thirty entries.
        await CompleteAsync(Options(3) with { Order = order, WorkAheadBytes = 16 * 680, StepsAhead = 2 }, trainer);
        AssertExactlyOnce(trainer.Applied, 80, 0, epochs: 3);
    }

    [Fact]
    public async Task Run_CacheSmallerThanABatch_FailsAndSaysWhatToDo()
    {
        _cache = new MemoryCache(4);
        Devices(1, 16, 0);
        var error = await Assert.ThrowsAsync<CoordinatorException>(() => CompleteAsync(Options(1), Trainer()));
        Assert.Contains("cache.max_bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_HostileMessages_AreBuriedWithReasonAndTheRunCompletes()
    {
        var devices = Devices(2, 20, 0);
        var hostile = new[] { [], new byte[100], FakeDevice.Body(Run, "c1", SampleId.Training(0)), FakeDevice.Body("other", "c0", SampleId.Training(0)) };
        foreach (var body in hostile)
        {
            await _data.PublishAsync(Run, "c0", body, TestContext.Current.CancellationToken);
        }

        var trainer = Trainer();
        await CompleteAsync(Options(2) with { IngestConcurrency = 1 }, trainer);
        AssertExactlyOnce(trainer.Applied, 20, 0, epochs: 3);
        Assert.Equal(hostile.Length, _data.DeadLetterCount);
        Assert.All(_data.DeadLetters, letter => Assert.NotEmpty(letter.Reason));
        // Told of are the first, the second and the fourth: all of them, in three messages.
        await Deadline.UntilAsync(() => _rejected.Sum(message => message.Messages) == hostile.Length, "rejections are announced");
        Assert.Equal(new long[] { 1, 1, 2 }, _rejected.Select(message => message.Messages));
        Assert.Equal(20, devices.Sum(device => device.Asked.Count));
    }

    [Fact]
    public async Task Run_MessagesDamagedOnTheWay_AsksThoseSamplesAgain()
    {
        var devices = Devices(2, 20, 0);
        var damaged = new HashSet<SampleId>();
        devices[0].Tamper = (id, body) => id.Row % 4 == 0 && damaged.Add(id) ? body[..^1] : body;
        var trainer = Trainer();
        await CompleteAsync(Options(2), trainer);
        AssertExactlyOnce(trainer.Applied, 20, 0, epochs: 3);
        Assert.NotEmpty(damaged);
        Assert.Equal(damaged.Count, _data.DeadLetterCount);
        Assert.Equal(20 + damaged.Count, devices.Sum(device => device.Asked.Count));
    }

    [Fact]
    public async Task Run_SampleThatNeverArrives_FailsAndNamesClientSampleAndReason()
    {
        var devices = Devices(1, 8, 0);
        devices[0].Tamper = (id, body) => id.Row == 5 ? [.. body, 0] : body;
        var error = await Assert.ThrowsAsync<CoordinatorException>(() => CompleteAsync(Options(1), Trainer()));
        Assert.Contains("'c0'", error.Message, StringComparison.Ordinal);
        Assert.Contains("train:5", error.Message, StringComparison.Ordinal);
        Assert.Contains("refused", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_DeviceStartedAnew_GetsItsOpenWorkAgain()
    {
        var never = new TaskCompletionSource();
        var lost = new FakeDevice(Run, "c0", SampleIds.Of(10, 0), _control, _data) { Gate = never.Task };
        var trainer = Trainer();
        var run = CompleteAsync(Options(1), trainer);
        await lost.RegisterAsync();
        await Deadline.UntilAsync(() => !_planned.IsEmpty, "the run is planned");
        lost.Dispose();
        using var anew = new FakeDevice(Run, "c0", SampleIds.Of(10, 0), _control, _data, instance: "2");
        await anew.RegisterAsync();
        await run;
        AssertExactlyOnce(trainer.Applied, 10, 0, epochs: 3);
    }

    [Theory]
    [InlineData(StepOrder.Planned, true)]
    [InlineData(StepOrder.Available, true)]
    [InlineData(StepOrder.Available, false)]
    public async Task Run_TrainerGoesOnFromItsPosition_EverySampleStillOncePerEpoch(StepOrder order, bool keepLedger)
    {
        const int Training = 47;
        Devices(4, Training, 6);
        var first = Trainer();
        first.StopAt = 2 + 6 + 2 + 3;
        using var stop = Deadline.Token();
        var coordinator = Coordinator(Options(4) with { Order = order }).RunAsync(stop.Token);
        await first.RunAsync(stop.Token);
        await stop.CancelAsync();
        await coordinator;
        _data.DeleteRun(Run);

        // The checkpoint stands two steps before where the trainer was.
        var durable = first.Applied.SkipLast(2).ToList();
        var epoch = durable[^1].Epoch;
        var applied = durable.Where(step => step.Kind == StepKind.Train && step.Epoch == epoch).SelectMany(step => step.Samples).Select(sample => sample.Id);
        await using var resumed = new CoordinatorServiceTests { _cache = _cache };
        if (keepLedger)
        {
            foreach (var bytes in _ledger.Steps)
            {
                await resumed._ledger.RecordStepAsync(Run, BitConverter.ToInt64(bytes), bytes, TestContext.Current.CancellationToken);
            }
        }

        resumed.Devices(4, Training, 6);
        var second = new FakeTrainer(Run, resumed._control, resumed._data, resumed._cache, "t2", durable[^1].Sequence + 1)
        {
            Before = (epoch, [.. applied]),
        };
        await resumed.CompleteAsync(Options(4) with { Order = order }, second);
        AssertExactlyOnce([.. durable, .. second.Applied], Training, 6, epochs: 3);
        if (order == StepOrder.Planned || keepLedger)
        {
            Assert.Equal(Compositions(first.Applied[^2..]), Compositions(second.Applied[..2]));
        }
    }

    [Fact]
    public async Task Run_ModelOfADeviceDiffers_FailsAndNamesIt()
    {
        Devices(2, 10, 0)[1].ModelFingerprint = "ff";
        var error = await Assert.ThrowsAsync<CoordinatorException>(() => CompleteAsync(Options(2), Trainer()));
        Assert.Contains("'c1'", error.Message, StringComparison.Ordinal);
        Assert.Contains("fingerprint", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_ClientNeverComes_FailsAtTheDeadlineAndNamesIt()
    {
        Devices(1, 10, 0);
        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => CompleteAsync(Options(2) with { ClientDeadline = TimeSpan.FromMilliseconds(50) }, Trainer()));
        Assert.Contains("'c1' has not registered", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_SlowClient_AvailableOrderTrainsOnTheOthersMeanwhile()
    {
        var devices = Devices(3, 48, 0);
        var gate = new TaskCompletionSource();
        devices[2].Gate = gate.Task;
        var trainer = Trainer();
        trainer.BeforeStep = step =>
        {
            if (trainer.Applied.Count == 3)
            {
                gate.TrySetResult();
            }

            return Task.CompletedTask;
        };
        await CompleteAsync(Options(3) with { Order = StepOrder.Available, StepsAhead = 1 }, trainer);
        Assert.All(trainer.Applied.Take(4), step => Assert.DoesNotContain(step.Samples, sample => sample.ClientId == "c2"));
        AssertExactlyOnce(trainer.Applied, 48, 0, epochs: 3);
    }
}
