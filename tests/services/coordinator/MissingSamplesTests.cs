using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Tests.Planning;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>Clients that go for good, that come back with other data, or whose samples are never taken.</summary>
public sealed class MissingSamplesTests : CoordinatedRun
{
    // It is also how long clients may take to register, on a machine that is busy with other tests.
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(2);

    [Theory]
    [InlineData(StepOrder.Planned)]
    [InlineData(StepOrder.Available)]
    public async Task ClientGone_Complete_TrainsTheOthersOnceAndSaysWhatIsMissing(StepOrder order)
    {
        var devices = Devices(4, 47, 9);
        GoneAfterTwoSamples(devices[1], "c1");
        var trainer = Trainer();
        await CompleteAsync(Options(4) with { Order = order, ClientDeadline = s_soon, CompleteWithoutMissing = true }, trainer);

        var missing = await MissingAsync();
        Assert.Equal(47 + 9, trainer.Applied.Where(step => step.Epoch == 0).SelectMany(step => step.Samples).Count() + missing.Length);
        Assert.All(missing, id => Assert.Equal(1, (id.IsEvaluation ? 47 + id.Row : id.Row) % 4));
        Assert.NotEmpty(missing);
        AssertExactlyOnce(trainer.Applied, 47, 9, epochs: 3, missing);
        await Deadline.UntilAsync(() => _failed.Sum(failed => failed.Samples) == missing.Length, "the failure is announced");
        Assert.All(_failed, failed => Assert.Equal(("c1", "has no device worker"), (failed.ClientId, failed.Reason)));
        Assert.Equal(missing.Length, _failed.Max(failed => failed.FailedInRun));
        Assert.Equal(Enumerable.Range(0, trainer.Applied.Count).Select(n => (long)n), trainer.Applied.Select(step => step.Sequence));
    }

    [Fact]
    public async Task ClientGone_Stop_FailsAndSaysWhatToDo()
    {
        GoneAfterTwoSamples(Devices(3, 30, 0)[2], "c2");
        var error = await Assert.ThrowsAsync<CoordinatorException>(() => CompleteAsync(Options(3) with { ClientDeadline = s_soon }, Trainer()));
        Assert.Contains("'c2' has no device worker", error.Message, StringComparison.Ordinal);
        Assert.Contains("resume the run", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ClientIsThereAndSlow_WaitsBeyondTheDeadline()
    {
        var gate = new TaskCompletionSource();
        var devices = Devices(2, 20, 0);
        devices[1].Gate = gate.Task;
        var trainer = Trainer();
        var run = CompleteAsync(Options(2) with { ClientDeadline = TimeSpan.FromMilliseconds(30), CompleteWithoutMissing = true }, trainer);
        using var looked = new SemaphoreSlim(0);
        IsServed = _ =>
        {
            looked.Release();
            return true;
        };
        for (var n = 0; n < 5; n++)
        {
            // The deadline has passed each time that it is asked whether somebody serves the client.
            await looked.WaitAsync(TestContext.Current.CancellationToken);
        }

        gate.SetResult();
        await run;
        AssertExactlyOnce(trainer.Applied, 20, 0, epochs: 3);
    }

    [Fact]
    public async Task ClientComesBackWithOtherData_IsRefusedAndTheRunGoesOnWithoutWhatItOwes()
    {
        var never = new TaskCompletionSource();
        var ids = SampleIds.Of(24, 0);
        using var kept = new FakeDevice(Run, "c0", ids[..12], _control, _data);
        var lost = new FakeDevice(Run, "c1", ids[12..], _control, _data) { Gate = never.Task };
        var trainer = Trainer();
        var run = CompleteAsync(Options(2) with { ClientDeadline = s_soon, CompleteWithoutMissing = true }, trainer);
        await Deadline.UntilAsync(() => !_planned.IsEmpty, "the run is planned");
        lost.Dispose();
        using var changed = new FakeDevice(Run, "c1", ids[12..23], _control, _data, instance: "2");
        await changed.RegisterAsync();
        await run;

        AssertExactlyOnce(trainer.Applied, 24, 0, epochs: 3, ids[12..]);
        Assert.Empty(changed.Asked);
        Assert.Contains("other data", Assert.Single(_rejected).Reason, StringComparison.Ordinal);
        Assert.Contains("other data", Assert.Single(_failed).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SampleAlwaysRefused_Complete_GoesOnWithoutIt()
    {
        var devices = Devices(2, 20, 0);
        devices[1].Tamper = (id, body) => id.Row == 5 ? [.. body, 0] : body;
        var trainer = Trainer();
        await CompleteAsync(Options(2) with { CompleteWithoutMissing = true }, trainer);
        AssertExactlyOnce(trainer.Applied, 20, 0, epochs: 3, SampleId.Training(5));
        await Deadline.UntilAsync(() => !_failed.IsEmpty, "the failure is announced");
        Assert.Contains("train:5", Assert.Single(_failed).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task EveryClientGone_Complete_FailsInsteadOfTrainingNothing()
    {
        var devices = Devices(2, 20, 0);
        foreach (var device in devices)
        {
            device.Gate = new TaskCompletionSource().Task;
        }

        IsServed = _ => false;
        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => CompleteAsync(Options(2) with { ClientDeadline = s_soon, CompleteWithoutMissing = true }, Trainer()));
        Assert.Contains("all training samples have failed", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ClientNeverComes_Complete_IsLeftOutAndRefusedLater()
    {
        Devices(2, 20, 0);
        var trainer = Trainer();
        FakeDevice? late = null;
        trainer.BeforeStep = async step =>
        {
            if (late is null)
            {
                late = new FakeDevice(Run, "c2", [SampleId.Training(20)], _control, _data);
                await late.RegisterAsync();
                await Deadline.UntilAsync(() => !_rejected.IsEmpty, "it is refused");
            }
        };
        await CompleteAsync(Options(3) with { ClientDeadline = s_soon, CompleteWithoutMissing = true }, trainer);
        AssertExactlyOnce(trainer.Applied, 20, 0, epochs: 3);
        Assert.Equal(("c2", 0, "has not registered"), Assert.Single(_failed) is { } failed ? (failed.ClientId, failed.Samples, failed.Reason) : default);
        Assert.Contains("too late", Assert.Single(_rejected).Reason, StringComparison.Ordinal);
        late!.Dispose();
    }

    [Theory]
    [InlineData(StepOrder.Planned)]
    [InlineData(StepOrder.Available)]
    public async Task CoordinatorStartsAgain_KnowsClientsThatAreAwayAndWhatHasFailed(StepOrder order)
    {
        var options = Options(3) with { Order = order, ClientDeadline = s_soon, CompleteWithoutMissing = true };
        GoneAfterTwoSamples(Devices(3, 30, 6)[1], "c1");
        var first = Trainer();
        first.StopAt = 2 + 4 + 2 + 1;
        using var stop = Deadline.Token();
        var coordinator = Coordinator(options).RunAsync(stop.Token);
        await first.RunAsync(stop.Token);
        await stop.CancelAsync();
        await coordinator;
        var missing = await MissingAsync();
        _data.DeleteRun(Run);

        // Only two of the three clients come again.
        await using var again = new MissingSamplesTests { _cache = _cache, _ledger = _ledger, IsServed = client => client != "c1" };
        again.Devices(3, 30, 6)[1].Dispose();
        var applied = first.Applied.Where(step => step is { Kind: StepKind.Train, Epoch: 1 }).SelectMany(step => step.Samples).Select(sample => sample.Id);
        var second = new FakeTrainer(Run, again._control, again._data, again._cache, "t2", first.Next) { Before = (1, [.. applied]) };
        await again.CompleteAsync(options, second);
        Assert.Equal(missing, await MissingAsync());
        AssertExactlyOnce([.. first.Applied, .. second.Applied], 30, 6, epochs: 3, missing);
    }

    [Fact]
    public async Task LedgerLost_AvailableOrder_ComposesAnewAndTrainsNothingTwice()
    {
        var options = Options(3) with { Order = StepOrder.Available };
        Devices(3, 30, 0);
        var first = Trainer();
        first.StopAt = 2;
        using var stop = Deadline.Token();
        var coordinator = Coordinator(options).RunAsync(stop.Token);
        await first.RunAsync(stop.Token);
        await stop.CancelAsync();
        await coordinator;
        _data.DeleteRun(Run);

        // What is left of the ledger does not begin where the trainer stands.
        await using var again = new MissingSamplesTests { _cache = _cache };
        foreach (var bytes in _ledger.Steps.Skip(3))
        {
            await again._ledger.RecordStepAsync(Run, BitConverter.ToInt64(bytes), bytes, TestContext.Current.CancellationToken);
        }

        again.Devices(3, 30, 0);
        var second = new FakeTrainer(Run, again._control, again._data, again._cache, "t2", 2)
        {
            Before = (0, [.. first.Applied.SelectMany(step => step.Samples).Select(sample => sample.Id)]),
        };
        await again.CompleteAsync(options, second);
        AssertExactlyOnce([.. first.Applied, .. second.Applied], 30, 0, epochs: 3);
    }

    /// <summary>The device sends two samples and then falls silent for good.</summary>
    private void GoneAfterTwoSamples(FakeDevice device, string client)
    {
        var sent = 0;
        var gone = false;
        device.Tamper = (_, body) =>
        {
            if (++sent > 2)
            {
                gone = true;
                device.Dispose();
                throw new OperationCanceledException("The device is gone.");
            }

            return body;
        };
        IsServed = asked => asked != client || !Volatile.Read(ref gone);
    }

    private async Task<SampleId[]> MissingAsync() =>
        [.. (await _ledger.FailedAsync(Run, TestContext.Current.CancellationToken)).Select(id => new SampleId(id)).Order()];
}
