namespace SplitFrozen.Comparison.Fleet.Costs;

/// <summary>Costs of a workload by each method, by formula; see <see cref="TrainingFlops"/> for what counts as an operation.</summary>
public sealed class CostModel
{
    private readonly Workload _workload;
    private readonly TrainingFlops _flops;
    private readonly TransferSizes _sizes;
    private readonly DeviceMemoryModel _memory;

    /// <summary>Prepares the formulas.</summary>
    /// <exception cref="ArgumentException">The workload is impossible.</exception>
    public CostModel(Workload workload)
    {
        ArgumentNullException.ThrowIfNull(workload);
        _workload = workload.Validated();
        _flops = new TrainingFlops(workload.Model, workload.Lora, workload.Head, workload.Classes);
        _sizes = new TransferSizes(workload);
        _memory = new DeviceMemoryModel(workload, _sizes);
    }

    private int Layers => _workload.Model.Layers;

    /// <summary>The cost of all epochs by a method.</summary>
    /// <param name="method">The method.</param>
    /// <param name="warmCache">For <see cref="FineTuningMethod.SplitFrozenCached"/>: an earlier run has filled the cache, and devices do nothing.</param>
    public MethodCost Cost(FineTuningMethod method, bool warmCache = false)
    {
        var clients = Enumerable.Range(0, _workload.Clients.Count);
        var costs = method switch
        {
            FineTuningMethod.FedLora => clients.Select(FedLora),
            FineTuningMethod.SplitLora => clients.Select(SplitLora),
            FineTuningMethod.SplitFrozen => clients.Select(client => SplitFrozen(client, _workload.Epochs)),
            FineTuningMethod.SplitFrozenCached => clients.Select(client => SplitFrozen(client, warmCache ? 0 : 1)),
            FineTuningMethod.Centralised => clients.Select(Centralised),
            _ => throw new ArgumentOutOfRangeException(nameof(method), method, "Not a method."),
        };
        return new MethodCost(method, [.. costs], ServerFlops(method));
    }

    private long ServerFlops(FineTuningMethod method)
    {
        // Averaging adapters costs one addition per parameter and client, which is left out as optimiser steps are.
        if (method == FineTuningMethod.FedLora)
        {
            return 0;
        }

        var perEpoch = 0L;
        for (var client = 0; client < _workload.Clients.Count; client++)
        {
            perEpoch += _workload.Clients[client].Sum(sample => ServerStep(method, client, sample).Total);
        }

        return _workload.Epochs * perEpoch;
    }

    /// <summary>The server's work for one sample of a client in one epoch; catch-up counts as forward.</summary>
    internal PassFlops ServerStep(FineTuningMethod method, int client, SampleSize sample) => method switch
    {
        FineTuningMethod.SplitLora => _flops.Trained(_workload.Boundary, Layers, sample, needInput: _workload.Boundary > 0),
        FineTuningMethod.SplitFrozen or FineTuningMethod.SplitFrozenCached =>
            _flops.Trained(_workload.Boundary, Layers, sample, needInput: false) + new PassFlops(_flops.Frozen(_workload.Cut(client), _workload.Boundary, sample), 0, 0),
        FineTuningMethod.Centralised => _flops.Trained(0, Layers, sample, needInput: false),
        _ => default,
    };

    /// <summary>A device's work for one sample in one epoch; with the cache, in the first.</summary>
    internal PassFlops DeviceStep(FineTuningMethod method, int client, SampleSize sample) => method switch
    {
        FineTuningMethod.FedLora => _flops.Trained(0, Layers, sample, needInput: false),
        FineTuningMethod.SplitLora => _flops.Trained(0, _workload.Boundary, sample, needInput: false),
        FineTuningMethod.SplitFrozen or FineTuningMethod.SplitFrozenCached => new PassFlops(_flops.Frozen(0, _workload.Cut(client), sample), 0, 0),
        _ => default,
    };

    /// <summary>Bytes of things that travel.</summary>
    internal TransferSizes Sizes => _sizes;

    private (long Forward, long Backward) Device(FineTuningMethod method, int client, int epochs)
    {
        var sum = _workload.Clients[client].Aggregate(default(PassFlops), (total, sample) => total + DeviceStep(method, client, sample));
        return (epochs * sum.Forward, epochs * sum.Backward);
    }

    private ClientCost FedLora(int client)
    {
        var (forward, backward) = Device(FineTuningMethod.FedLora, client, _workload.Epochs);
        var adapter = _workload.Epochs * _sizes.Adapter(0, Layers);
        return new ClientCost(forward, backward, adapter, adapter, _memory.Trained(client, Layers));
    }

    private ClientCost SplitLora(int client)
    {
        var (forward, backward) = Device(FineTuningMethod.SplitLora, client, _workload.Epochs);
        var (up, down, steps) = (0L, 0L, 0);
        foreach (var batch in _workload.LocalBatches(client))
        {
            up += _sizes.Activations(batch, _workload.Boundary);
            down += SendsGradients ? _sizes.Gradients(batch, _workload.Boundary) : 0;
            steps++;
        }

        var averagings = SendsGradients ? (steps + _workload.AveragingSteps - 1) / _workload.AveragingSteps : 0;
        var adapters = averagings * _sizes.Adapter(0, _workload.Boundary);
        return new ClientCost(
            forward, backward, _workload.Epochs * (up + adapters), _workload.Epochs * (down + adapters), _memory.Trained(client, _workload.Boundary));
    }

    /// <summary>Whether SplitLoRA's clients have anything to train.</summary>
    internal bool SendsGradients => _workload.Boundary > 0;

    private ClientCost SplitFrozen(int client, int epochs)
    {
        var (forward, backward) = Device(FineTuningMethod.SplitFrozen, client, epochs);
        var cut = _workload.Cut(client);
        var up = _sizes.Messages([.. _workload.Clients[client]], size => size).Sum(message => _sizes.Activations(message, cut));
        return new ClientCost(forward, backward, epochs * up, 0, epochs == 0 ? default : _memory.Frozen(client, cut));
    }

    private ClientCost Centralised(int client) => new(0, 0, _sizes.RawSamples(_workload.Clients[client]), 0, default);
}
