using SplitFrozen.Comparison.Fleet.Costs;

namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>
/// SplitFrozen: devices compute and send their samples in plan order, up to an epoch ahead of the trainer, and wait for nothing that comes back.
/// A step is trained as soon as its samples are there and the step before is done. Epochs whose activations are cached need no device.
/// </summary>
internal sealed class SplitFrozenSimulation
{
    private readonly SimulationWorld _world;
    private readonly FineTuningMethod _method;
    private readonly bool _available;
    private readonly int _computedEpochs;
    private readonly int _stepsPerEpoch;
    private readonly Queue<Message>[] _unsent;
    private readonly bool[] _computing;
    private readonly PlannedSample[][] _planned;
    private readonly int[] _missing;
    private readonly Queue<PlannedSample>[] _arrived;
    private readonly int[] _untrained;
    private int _trainedSteps;
    private bool _training;

    internal SplitFrozenSimulation(SimulationWorld world, FineTuningMethod method)
    {
        (_world, _method) = (world, method);
        var workload = world.Workload;
        _available = world.Options is { Order: SimulatedOrder.Available, Pipelined: true };
        _computedEpochs = method == FineTuningMethod.SplitFrozen ? workload.Epochs : world.Options.WarmCache ? 0 : 1;
        var samples = workload.Clients.Sum(client => client.Count);
        _stepsPerEpoch = (samples + workload.BatchSize - 1) / workload.BatchSize;
        _planned = [.. Enumerable.Range(0, workload.Epochs).SelectMany(epoch => world.Permutation(epoch).Chunk(workload.BatchSize))];
        _missing = [.. _planned.Select((step, index) => index / _stepsPerEpoch < _computedEpochs ? step.Length : 0)];
        _arrived = [.. Enumerable.Range(0, workload.Epochs).Select(_ => new Queue<PlannedSample>())];
        _untrained = [.. Enumerable.Repeat(samples, workload.Epochs)];
        _computing = new bool[workload.Clients.Count];
        _unsent = [.. Enumerable.Range(0, workload.Clients.Count).Select(client => new Queue<Message>(Messages(client)))];
    }

    internal void Start()
    {
        StartDevices();
        TrainNext();
    }

    private IEnumerable<Message> Messages(int client)
    {
        var sizes = _world.Costs.Sizes;
        for (var epoch = 0; epoch < _computedEpochs; epoch++)
        {
            StepSample[] own =
            [
                .. Enumerable.Range(epoch * _stepsPerEpoch, _stepsPerEpoch)
                    .SelectMany(step => _planned[step].Where(sample => sample.Client == client).Select(sample => new StepSample(step, sample))),
            ];

            // A device that may not work ahead has nothing of later steps to put into its messages.
            var parts = _world.Options.Pipelined ? [own] : own.GroupBy(sample => sample.Step).Select(group => group.ToArray());
            foreach (var message in parts.SelectMany(part => sizes.Messages(part, sample => sample.Sample.Size)))
            {
                yield return new Message(epoch, message[0].Step, [.. message]);
            }
        }
    }

    private void StartDevices()
    {
        var ahead = _world.Options.Pipelined ? _stepsPerEpoch : 1;
        for (var client = 0; client < _unsent.Length; client++)
        {
            if (!_computing[client] && _unsent[client].TryPeek(out var message) && message.Step - _trainedSteps < ahead)
            {
                Compute(client, _unsent[client].Dequeue());
            }
        }
    }

    private void Compute(int client, Message message)
    {
        _computing[client] = true;
        SampleSize[] samples = [.. message.Samples.Select(sample => sample.Sample.Size)];
        var flops = samples.Sum(sample => _world.Costs.DeviceStep(_method, client, sample).Forward);
        _world.Stations.Compute(client, flops, ActivityKind.DeviceForward, message.Step, () =>
        {
            _computing[client] = false;
            _world.Stations.Upload(client, _world.Costs.Sizes.Activations(samples, _world.Workload.Cut(client)), message.Step, () => Arrive(message));
            StartDevices();
        });
    }

    private void Arrive(Message message)
    {
        foreach (var (step, sample) in message.Samples)
        {
            _missing[step]--;
            _arrived[message.Epoch].Enqueue(sample);
        }

        TrainNext();
    }

    private void TrainNext()
    {
        if (_training || _trainedSteps == _planned.Length || Next() is not { } samples)
        {
            return;
        }

        _training = true;
        var step = _trainedSteps;
        var epoch = step / _stepsPerEpoch;
        _untrained[epoch] -= samples.Length;
        PassFlops[] work = [.. samples.Select(sample => _world.Costs.ServerStep(_method, sample.Client, sample.Size))];
        _world.Trainer.Train(-1, step, work, () =>
        {
            _training = false;
            _trainedSteps++;
            if (_untrained[epoch] == 0)
            {
                _world.EpochEnded();
            }

            StartDevices();
            TrainNext();
        });
    }

    /// <summary>The samples of the next step; null while they are not there.</summary>
    private PlannedSample[]? Next()
    {
        var epoch = _trainedSteps / _stepsPerEpoch;
        if (!_available || epoch >= _computedEpochs)
        {
            return _missing[_trainedSteps] == 0 ? _planned[_trainedSteps] : null;
        }

        var size = Math.Min(_world.Workload.BatchSize, _untrained[epoch]);
        return _arrived[epoch].Count < size ? null : [.. Enumerable.Range(0, size).Select(_ => _arrived[epoch].Dequeue())];
    }

    private readonly record struct StepSample(int Step, PlannedSample Sample);

    /// <summary>One message: the step that first needs one of its samples, and the samples.</summary>
    private sealed record Message(int Epoch, int Step, StepSample[] Samples);
}
