using System.Net;
using System.Net.Http.Json;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A coordinator's process between device workers and a trainer that hold no model, over the embedded cache server.</summary>
public abstract class HostedRun : IAsyncLifetime
{
    private protected const int Training = 40;
    private protected const int HeldOut = 5;
    private protected readonly InProcessControlPlane _control = new();
    private protected readonly InProcessDataPlane _data = new();
    private protected readonly List<IAsyncDisposable> _owned = [];
    private protected EmbeddedCacheServer _server = null!;
    private protected FakeTrainerProcess _trainer = null!;
    private readonly TemporaryFolder _folder = new();
    private RedisActivationCache _cache = null!;

    private protected static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _server = await EmbeddedCacheServer.StartAsync(new EmbeddedCacheOptions { Directory = _folder.Path, MemoryBytes = 64 << 20 }, Token);
        var connection = Own(await CacheConnection.ConnectAsync(_server.ConnectionString, Token));
        _cache = new RedisActivationCache(connection, 1 << 30);
        _trainer = Own(new FakeTrainerProcess(_control, _data, _cache, new RedisArtifactStore(connection)));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var owned in Enumerable.Reverse(_owned))
        {
            await owned.DisposeAsync();
        }

        await _control.DisposeAsync();
        _cache.Dispose();
        await _server.DisposeAsync();
        _folder.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected static RunSpec Spec() => new()
    {
        Name = "demo",
        Seed = 5,
        Model = new ModelSpec { Path = "/not/here", Boundary = 2 },
        Lora = new LoraSpec { Targets = ["c_attn"] },
        Task = new TaskSpec { Kind = "classification", Train = "t.tsv", Evaluation = "e.tsv", MaxLength = 16 },
        Clients = new ClientsSpec { Count = 3 },
        Device = new DeviceSpec { WireType = WireType.Float32 },
        Training = new TrainingSpec { Epochs = 2, BatchSize = 8 },
    };

    private protected static async Task<string> SubmitAsync(CoordinatorHost host, RunSpec? spec = null)
    {
        using var response = await host.Client.PostAsJsonAsync("/api/runs", spec ?? Spec(), ClusterApi.Json, Token);
        Assert.Equal(HttpStatusCode.Created, response.StatusCode);
        return (await response.Content.ReadFromJsonAsync<RunAccepted>(ClusterApi.Json, Token))!.RunId;
    }

    /// <summary>The trainer will stand before a step message until the gate opens; the task completes when it gets there.</summary>
    private protected (Task Reached, TaskCompletionSource Gate) StopTrainer(long beforeSequence)
    {
        var gate = new TaskCompletionSource();
        var reached = new TaskCompletionSource();
        _trainer.BeforeStep = async step =>
        {
            if (step.Sequence == beforeSequence)
            {
                reached.TrySetResult();
                await gate.Task;
            }
        };
        return (reached.Task.WaitAsync(Deadline.Limit, Token), gate);
    }

    /// <summary>Hands a run in and waits until its trainer stands before a step message.</summary>
    private protected async Task<(string RunId, TaskCompletionSource Gate)> SubmitAndStopAsync(CoordinatorHost host, long beforeSequence)
    {
        var (reached, gate) = StopTrainer(beforeSequence);
        var runId = await SubmitAsync(host);
        await reached;
        return (runId, gate);
    }

    private protected static async Task FinishAsync(CoordinatorHost host, string runId)
    {
        using var limit = Deadline.Token();
        var events = await host.EventsAsync(runId, after: null, limit.Token);
        var ended = Assert.IsType<RunEndedEvent>(events[^1].Event);
        Assert.True(ended.Status == "finished", ended.Reason);
        Assert.Equal(RunStatus.Finished, (await host.RunAsync(runId)).Summary.Status);
    }

    private protected async Task<CoordinatorHost> HostAsync(params (string Key, string Value)[] settings) =>
        Own(await CoordinatorHost.StartAsync(_server.ConnectionString, _control, _data, settings));

    private protected FakeDeviceWorker Device(string name, Task? gate = null, params SampleId[] ownData) =>
        Own(new FakeDeviceWorker(name, Training, HeldOut, _control, _data, gate, ownData));

    /// <summary>Falls silent as a process that was killed does.</summary>
    private protected async Task KillAsync(FakeDeviceWorker device)
    {
        _owned.Remove(device);
        await device.DisposeAsync();
    }

    private protected T Own<T>(T owned)
        where T : IAsyncDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}
