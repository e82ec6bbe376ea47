using System.Collections.Concurrent;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Tests.Planning;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A device worker process without a model: tells that it is alive and serves the clients that it is dealt.</summary>
internal sealed class FakeDeviceWorker : IAsyncDisposable
{
    private readonly InProcessControlPlane _control;
    private readonly InProcessDataPlane _data;
    private readonly SampleId[] _samples;
    private readonly SampleId[] _ownData;
    private readonly Dictionary<(string Run, string Client), FakeDevice> _serving = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly IDisposable[] _subscriptions;
    private readonly Task _beating;
    private readonly string _instance = Guid.NewGuid().ToString("N");

    public FakeDeviceWorker(string device, int training, int heldOut, InProcessControlPlane control, InProcessDataPlane data, Task? gate = null, SampleId[]? ownData = null)
    {
        (Device, _control, _data, _samples, _ownData) = (device, control, data, SampleIds.Of(training, heldOut), ownData ?? []);
        Gate = gate ?? Task.CompletedTask;
        _subscriptions =
        [
            control.Subscribe<ClientsAssigned>(ServeAsync, device),
            control.Subscribe<RunFinished>((message, _) => Leave(message.RunId)),
            control.Subscribe<RunCancelled>((message, _) => Leave(message.RunId)),
        ];
        _beating = BeatAsync();
    }

    public string Device { get; }

    /// <summary>When it completes the device answers work.</summary>
    public Task Gate { get; }

    /// <summary>Clients dealt to it, the newest list last.</summary>
    public ConcurrentQueue<string[]> Dealt { get; } = new();

    public ConcurrentQueue<SampleId> Asked { get; } = new();

    /// <summary>Falls silent as a process that was killed does.</summary>
    public async ValueTask DisposeAsync()
    {
        Array.ForEach(_subscriptions, subscription => subscription.Dispose());
        await _stop.CancelAsync();
        await _beating.ContinueWith(_ => { }, TaskScheduler.Default);
        lock (_serving)
        {
            foreach (var device in _serving.Values)
            {
                device.Dispose();
            }
        }

        _stop.Dispose();
    }

    private async Task BeatAsync()
    {
        while (true)
        {
            await _control.PublishAsync(new DeviceAlive(Device, _instance, new DeviceProfile(1, 1 << 30, 1e6), Leaving: false, _ownData.Length > 0), _stop.Token);
            await Task.Delay(20, _stop.Token);
        }
    }

    private async ValueTask ServeAsync(ClientsAssigned message, CancellationToken cancellationToken)
    {
        var names = message.Clients.Select(client => client.ClientId).ToArray();
        Dealt.Enqueue(names);
        var all = Enumerable.Range(1, message.Spec.Clients.Count).Select(n => $"client-{n}").ToArray();
        var come = new List<FakeDevice>();
        lock (_serving)
        {
            foreach (var gone in _serving.Keys.Where(key => key.Run == message.RunId && !names.Contains(key.Client)).ToArray())
            {
                _serving.Remove(gone, out var device);
                device!.Dispose();
            }

            foreach (var name in names.Where(name => !_serving.ContainsKey((message.RunId, name))))
            {
                SampleId[] own = name == "evaluation"
                    ? [.. _samples.Where(id => id.IsEvaluation)]
                    : name == Device
                    ? _ownData
                    : [.. _samples.Where(id => !id.IsEvaluation && all[id.Row % all.Length] == name)];
                var device = new FakeDevice(message.RunId, name, own, _control, _data, _instance)
                {
                    Gate = Gate,
                    Tamper = (id, body) =>
                    {
                        Asked.Enqueue(id);
                        return body;
                    },
                };
                _serving.Add((message.RunId, name), device);
                come.Add(device);
            }
        }

        foreach (var device in come)
        {
            await device.RegisterAsync();
        }
    }

    private ValueTask Leave(string runId)
    {
        lock (_serving)
        {
            foreach (var key in _serving.Keys.Where(key => key.Run == runId).ToArray())
            {
                _serving.Remove(key, out var device);
                device!.Dispose();
            }
        }

        return ValueTask.CompletedTask;
    }
}

/// <summary>A trainer process without a model: takes runs that are offered, keeps its position as a checkpoint would, and exports.</summary>
internal sealed class FakeTrainerProcess : IAsyncDisposable
{
    public static readonly RunFacts Facts = new(FakeDevice.Fingerprint, FakeDevice.Width, false, FakeDevice.Classes, ["a", "b", "c"], 0.001, 1000, 1000);

    private readonly InProcessControlPlane _control;
    private readonly InProcessDataPlane _data;
    private readonly IActivationCache _cache;
    private readonly RedisArtifactStore _artifacts;
    private readonly IDisposable[] _subscriptions;
    private readonly ConcurrentDictionary<string, (Task Task, CancellationTokenSource Stop)> _running = new();
    private readonly ConcurrentDictionary<string, bool> _done = new();
    private readonly ConcurrentDictionary<string, long> _positions = new();
    private int _starts;

    public FakeTrainerProcess(InProcessControlPlane control, InProcessDataPlane data, IActivationCache cache, RedisArtifactStore artifacts)
    {
        (_control, _data, _cache, _artifacts) = (control, data, cache, artifacts);
        _subscriptions =
        [
            control.Subscribe<RunOffered>(OfferedAsync),
            control.Subscribe<RunCancelled>(async (message, _) => await StopAsync(message.RunId)),
            control.Subscribe<RunFinished>(ExportAsync),
            control.Subscribe<CoordinatorReady>(async (message, token) =>
            {
                if (_done.ContainsKey(message.RunId))
                {
                    await control.PublishAsync(new TrainerReady(message.RunId, "done", _positions[message.RunId], 0, []), token);
                }
            }),
        ];
    }

    public ConcurrentQueue<StepMessage> Applied { get; } = new();

    /// <summary>Called before a step.</summary>
    public Func<StepMessage, Task> BeforeStep { get; set; } = _ => Task.CompletedTask;

    /// <summary>Exports to leave out.</summary>
    public int ExportsToForget { get; set; }

    public async ValueTask DisposeAsync()
    {
        Array.ForEach(_subscriptions, subscription => subscription.Dispose());
        foreach (var run in _running.Keys)
        {
            await StopAsync(run);
        }
    }

    private async ValueTask OfferedAsync(RunOffered message, CancellationToken cancellationToken)
    {
        await _control.PublishAsync(new RunPrepared(message.RunId, "trainer", Facts), cancellationToken);
        if (!_done.ContainsKey(message.RunId) && !_running.ContainsKey(message.RunId))
        {
            var stop = new CancellationTokenSource();
            _running[message.RunId] = (TrainAsync(message.RunId, stop.Token), stop);
        }
    }

    private async Task TrainAsync(string runId, CancellationToken cancellationToken)
    {
        var trainer = new FakeTrainer(runId, _control, _data, _cache, $"t{Interlocked.Increment(ref _starts)}", _positions.GetValueOrDefault(runId));
        trainer.BeforeStep = step => BeforeStep(step).WaitAsync(cancellationToken);
        try
        {
            await trainer.RunAsync(cancellationToken);
            _done[runId] = true;
        }
        catch (OperationCanceledException)
        {
            // Stopped with a checkpoint.
        }

        trainer.Applied.ForEach(Applied.Enqueue);
        _positions[runId] = trainer.Next;
    }

    private async Task StopAsync(string runId)
    {
        if (_running.TryRemove(runId, out var run))
        {
            await run.Stop.CancelAsync();
            await run.Task;
        }
    }

    private async ValueTask ExportAsync(RunFinished message, CancellationToken cancellationToken)
    {
        if (ExportsToForget-- > 0)
        {
            return;
        }

        await _artifacts.StoreAsync(message.RunId, "adapter_model.safetensors", new byte[] { 1, 2, 3 }, cancellationToken);
        await _control.PublishAsync(new AdapterExported(message.RunId, ["adapter_model.safetensors"]), cancellationToken);
    }
}
