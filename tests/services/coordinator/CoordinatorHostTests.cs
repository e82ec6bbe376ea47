using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>The coordinator's process between device workers and a trainer that hold no model, over the embedded cache server.</summary>
public sealed class CoordinatorHostTests : HostedRun
{
    [Fact]
    public async Task Run_SubmittedToTheEnd_StreamsEventsAndLeavesTheAdapter()
    {
        var host = await HostAsync();
        var devices = new[] { Device("d1"), Device("d2") };
        var runId = await SubmitAsync(host);
        Assert.Matches("^demo-[0-9a-f]{8}$", runId);
        using var limit = Deadline.Token();

        var events = await host.EventsAsync(runId, after: null, limit.Token);

        Assert.Equal(Enumerable.Range(0, events.Count).Select(n => (long)n), events.Select(item => item.Number));
        Assert.IsType<RunStartedEvent>(events[0].Event);
        Assert.Equal("finished", Assert.IsType<RunEndedEvent>(events[^1].Event).Status);
        Assert.Equal(10, events.Count(item => item.Event is StepAppliedEvent));
        Assert.Single(events, item => item.Event is RunPlannedEvent);
        var again = await host.EventsAsync(runId, after: events.Count - 3, limit.Token);
        Assert.Equal(events[^2..], again);

        var run = await host.RunAsync(runId);
        Assert.Equal((RunStatus.Finished, 10, 10, null), (run.Summary.Status, run.Summary.Step, run.Summary.TotalSteps, run.Summary.Reason));
        Assert.Equal(FakeDevice.Fingerprint, run.Facts?.ModelFingerprint);
        Assert.Equal(["client-1", "client-2", "client-3", "evaluation"], run.Clients.Select(client => client.ClientId));
        Assert.All(run.Clients, client => Assert.NotEmpty(client.CutReason));
        Assert.All(devices, device => Assert.Equal(2, run.Clients.Count(client => client.Device == device.Device)));
        Assert.Equal([new("adapter_model.safetensors", 3, "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81")], run.Artifacts);
        Assert.Equal([1, 2, 3], await host.Client.GetByteArrayAsync($"/api/runs/{runId}/artifacts/adapter_model.safetensors", Token));
        Assert.Equal(runId, Assert.Single((await host.Client.GetFromJsonAsync<RunSummary[]>("/api/runs", ClusterApi.Json, Token))!).RunId);
        AssertExactlyOnce();
    }

    [Fact]
    public async Task Submit_BadSpec_NamesAllFaultsAndBadBodiesTheirPlace()
    {
        var host = await HostAsync();
        var bad = Spec() with { Name = "no good", Training = new TrainingSpec { Epochs = 0, LearningRate = -1 } };
        var faults = RunSpecValidator.Validate(bad, _ => true, _ => true).Select(fault => fault.ToString());
        Assert.Equal(faults, await RefusedAsync(JsonSerializer.Serialize(bad, ClusterApi.Json), HttpStatusCode.BadRequest));
        Assert.Equal(3, faults.Count());

        Assert.Contains("nonsense", Assert.Single(await RefusedAsync("""{"nonsense": 1}""", HttpStatusCode.BadRequest)), StringComparison.Ordinal);
        Assert.Contains("name", Assert.Single(await RefusedAsync("""{"name": null}""", HttpStatusCode.BadRequest)), StringComparison.Ordinal);
        Assert.Contains("training.epochs", Assert.Single(await RefusedAsync("""{"training": {"epochs": "x"}}""", HttpStatusCode.BadRequest)), StringComparison.Ordinal);
        await RefusedAsync("", HttpStatusCode.BadRequest);
        await RefusedAsync("null", HttpStatusCode.BadRequest);
        await RefusedAsync($"{{\"name\": \"{new string('a', 1 << 20)}\"}}", HttpStatusCode.RequestEntityTooLarge);
        Assert.Empty((await host.Client.GetFromJsonAsync<RunSummary[]>("/api/runs", ClusterApi.Json, Token))!);

        async Task<IReadOnlyList<string>> RefusedAsync(string body, HttpStatusCode expected)
        {
            // The server may refuse by the length alone and close: the body is held back until it says.
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/runs") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            request.Headers.ExpectContinue = true;
            using var response = await host.Client.SendAsync(request, Token);
            Assert.Equal(expected, response.StatusCode);
            return (await response.Content.ReadFromJsonAsync<RequestRefused>(ClusterApi.Json, Token))!.Errors;
        }
    }

    [Fact]
    public async Task UnknownRunAndIllegalTransitions_AreRefusedWithTheReason()
    {
        var host = await HostAsync();
        foreach (var path in new[] { "/api/runs/none", "/api/runs/none/events", "/api/runs/none/artifacts/a" })
        {
            using var response = await host.Client.GetAsync(path, Token);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
            Assert.Contains("'none'", (await response.Content.ReadFromJsonAsync<RequestRefused>(ClusterApi.Json, Token))!.Errors[0], StringComparison.Ordinal);
        }

        Assert.Equal(HttpStatusCode.NotFound, (await host.PostAsync("/api/runs/none/cancel")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await host.PostAsync("/api/runs/none/resume")).Status);
        var runId = await SubmitAsync(host);
        var (status, errors) = await host.PostAsync($"/api/runs/{runId}/resume");
        Assert.Equal(HttpStatusCode.Conflict, status);
        Assert.Contains(runId, errors[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task CancelAndResume_GoesOnFromThePositionAndTrainsOnce()
    {
        var host = await HostAsync();
        Device("d1");
        var (runId, gate) = await SubmitAndStopAsync(host, beforeSequence: 4);

        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync($"/api/runs/{runId}/cancel")).Status);
        using var limit = Deadline.Token();
        var events = await host.EventsAsync(runId, after: null, limit.Token);
        Assert.Equal("interrupted", Assert.IsType<RunEndedEvent>(events[^1].Event).Status);
        Assert.Equal(RunStatus.Cancelled, (await host.RunAsync(runId)).Summary.Status);
        Assert.Equal(HttpStatusCode.Conflict, (await host.PostAsync($"/api/runs/{runId}/cancel")).Status);

        gate.SetResult();
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync($"/api/runs/{runId}/resume")).Status);
        var all = await host.EventsAsync(runId, after: null, limit.Token);
        Assert.Equal("finished", Assert.IsType<RunEndedEvent>(all[^1].Event).Status);
        Assert.Equal(2, all.Count(item => item.Event is RunStartedEvent));
        Assert.Equal(RunStatus.Finished, (await host.RunAsync(runId)).Summary.Status);
        AssertExactlyOnce();
    }

    [Fact]
    public async Task Restart_InTheMiddle_TheRunGoesOnAndTrainsOnce()
    {
        var first = await HostAsync();
        Device("d1");
        var (runId, gate) = await SubmitAndStopAsync(first, beforeSequence: 4);
        await first.DisposeAsync();
        _owned.Remove(first);
        gate.SetResult();

        var second = await HostAsync();
        await FinishAsync(second, runId);
        AssertExactlyOnce();
    }

    [Fact]
    public async Task TwoCoordinators_OneIsActiveAndTheOtherTakesOver()
    {
        var first = await HostAsync();
        await Deadline.UntilAsync(() => first.IsActive, "the first is active");
        var second = await HostAsync();
        Device("d1");

        // A standby takes runs in as well; the active one finds them in the store.
        var (runId, gate) = await SubmitAndStopAsync(second, beforeSequence: 3);
        Assert.False(second.IsActive);
        Assert.Equal(RunStatus.Running, (await second.RunAsync(runId)).Summary.Status);

        await first.DisposeAsync();
        _owned.Remove(first);
        await Deadline.UntilAsync(() => second.IsActive, "the second takes over");
        gate.SetResult();
        await FinishAsync(second, runId);
        AssertExactlyOnce();
    }

    [Fact]
    public async Task LeaseLost_TheCoordinatorStepsBackAndTheRunGoesOnElsewhere()
    {
        var host = await HostAsync();
        await Deadline.UntilAsync(() => host.IsActive, "it is active");
        await using var raw = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(_server.ConnectionString);
        await raw.GetDatabase().StringSetAsync("splitfrozen:lease:coordinator", "1000 another");
        await Deadline.UntilAsync(() => !host.IsActive, "it steps back");
        var runId = await SubmitAsync(host);
        Assert.Equal(RunStatus.Pending, (await host.RunAsync(runId)).Summary.Status);

        await raw.GetDatabase().KeyDeleteAsync("splitfrozen:lease:coordinator");
        Device("d1");
        await FinishAsync(host, runId);
        AssertExactlyOnce();
    }

    [Fact]
    public async Task StoreLosesItsData_TheRunIsToldAgainAndTrainsOnce()
    {
        var host = await HostAsync();
        Device("d1");
        var (runId, gate) = await SubmitAndStopAsync(host, beforeSequence: 4);
        using var limit = Deadline.Token();
        using var watching = await host.Client.GetAsync($"/api/runs/{runId}/events", HttpCompletionOption.ResponseHeadersRead, limit.Token);
        await using var raw = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(_server.ConnectionString);
        await foreach (var key in raw.GetServers()[0].KeysAsync())
        {
            await raw.GetDatabase().KeyDeleteAsync(key);
        }

        gate.SetResult();

        // Who watched before sees the end too: the numbers of events only grow.
        Assert.Contains("\"status\":\"finished\"", await watching.Content.ReadAsStringAsync(limit.Token), StringComparison.Ordinal);
        AssertExactlyOnce();
        var run = await host.RunAsync(runId);
        Assert.Equal(RunStatus.Finished, run.Summary.Status);
        Assert.Equal(Spec().Name, run.Spec.Name);
        Assert.Equal(FakeDevice.Fingerprint, run.Facts?.ModelFingerprint);
    }

    [Fact]
    public async Task DeviceGoes_ItsClientsAreDealtToAnother()
    {
        var host = await HostAsync();
        var never = new TaskCompletionSource();
        var lost = Device("d1", never.Task);
        var kept = Device("d2");
        var runId = await SubmitAsync(host);
        await Deadline.UntilAsync(() => lost.Asked.IsEmpty && !lost.Dealt.IsEmpty && !kept.Dealt.IsEmpty, "both are dealt clients");
        await Deadline.UntilAsync(() => !kept.Asked.IsEmpty, "work is under way");
        await KillAsync(lost);

        await FinishAsync(host, runId);
        var run = await host.RunAsync(runId);
        Assert.All(run.Clients, client => Assert.Equal("d2", client.Device));
        var devices = (await host.Client.GetFromJsonAsync<DeviceSummary[]>("/api/devices", ClusterApi.Json, Token))!;
        Assert.Equal([("d1", false), ("d2", true)], devices.Select(device => (device.Device, device.Alive)));
        AssertExactlyOnce();
    }

    [Fact]
    public async Task DeviceComesWhileTheRunIsInWork_TakesItsShareOfTheClients()
    {
        var host = await HostAsync();
        Device("d1");
        var (runId, gate) = await SubmitAndStopAsync(host, beforeSequence: 4);
        var late = Device("d2");
        await Deadline.UntilAsync(() => late.Dealt.LastOrDefault()?.Length == 2, "the late one is dealt two of four clients");
        gate.SetResult();
        await FinishAsync(host, runId);
        Assert.Equal(2, (await host.RunAsync(runId)).Clients.Count(client => client.Device == "d2"));
        AssertExactlyOnce();
    }

    [Fact]
    public async Task AdapterNotExported_IsAskedForAgain()
    {
        var host = await HostAsync(("Coordinator:ExportDeadline", "00:00:00.2"));
        Device("d1");
        _trainer.ExportsToForget = 1;
        await FinishAsync(host, await SubmitAsync(host));
        AssertExactlyOnce();
    }

    [Fact]
    public async Task RunFailedElsewhere_FailsWithTheReasonAndCanBeResumed()
    {
        var host = await HostAsync();
        var runId = await SubmitAsync(host);
        await Deadline.UntilAsync(() => host.RunAsync(runId).GetAwaiter().GetResult().Summary.Status == RunStatus.Running, "a trainer has it");
        await _control.PublishAsync(new RunFailed(runId, "The disk is full; make room."), Token);
        using var limit = Deadline.Token();
        var events = await host.EventsAsync(runId, after: null, limit.Token);
        var ended = Assert.IsType<RunEndedEvent>(events[^1].Event);
        Assert.Equal("failed", ended.Status);
        Assert.Contains("The disk is full; make room.", ended.Reason, StringComparison.Ordinal);
        Assert.Equal(RunStatus.Failed, (await host.RunAsync(runId)).Summary.Status);

        Device("d1");
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync($"/api/runs/{runId}/resume")).Status);
        await FinishAsync(host, runId);
    }

    [Fact]
    public async Task NoDevice_FailsAtTheDeadlineAndNamesClients()
    {
        var host = await HostAsync(("Coordinator:ClientDeadline", "00:00:00.5"));
        var runId = await SubmitAsync(host);
        using var limit = Deadline.Token();
        var events = await host.EventsAsync(runId, after: null, limit.Token);
        Assert.Contains("client-1", Assert.IsType<RunEndedEvent>(events[^1].Event).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Documents_ListTheRoutesAndHealthAnswers()
    {
        var host = await HostAsync();
        using var document = JsonDocument.Parse(await host.Client.GetStringAsync("/openapi/v1.json", Token));
        string[] expected =
        [
            "/api/dead-letters", "/api/devices", "/api/runs", "/api/runs/{id}", "/api/runs/{id}/artifacts/{name}", "/api/runs/{id}/cancel", "/api/runs/{id}/events",
            "/api/runs/{id}/resume", "/api/session",
        ];
        Assert.Equal(expected, document.RootElement.GetProperty("paths").EnumerateObject().Select(path => path.Name).Order(StringComparer.Ordinal));
        Assert.Equal("Healthy", await host.Client.GetStringAsync("/health/live", Token));
        Assert.Equal("Healthy", await host.Client.GetStringAsync("/health/ready", Token));
    }

    private void AssertExactlyOnce()
    {
        for (var epoch = 0; epoch < 2; epoch++)
        {
            Assert.Equal(
                Enumerable.Range(0, Training).Select(SampleId.Training),
                _trainer.Applied.Where(step => step.Kind == StepKind.Train && step.Epoch == epoch).SelectMany(step => step.Samples).Select(sample => sample.Id).Order());
        }
    }
}
