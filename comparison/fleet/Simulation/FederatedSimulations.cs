using SplitFrozen.Comparison.Fleet.Costs;

namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>FedLoRA: in every round, each client fetches the adapter, trains an epoch on its own data and sends the adapter back; the round ends with the last one.</summary>
internal sealed class FedLoraSimulation(SimulationWorld world)
{
    private readonly long _adapterBytes = world.Costs.Sizes.Adapter(0, world.Workload.Model.Layers);

    internal void Start() => Round(0);

    private void Round(int round)
    {
        var missing = world.Workload.Clients.Count;
        for (var client = 0; client < world.Workload.Clients.Count; client++)
        {
            Train(client);
        }

        void Train(int client)
        {
            var work = world.Workload.Clients[client].Aggregate(
                default(PassFlops), (sum, sample) => sum + world.Costs.DeviceStep(FineTuningMethod.FedLora, client, sample));
            world.Stations.Download(client, _adapterBytes, round, () =>
                world.Stations.Compute(client, work.Forward, ActivityKind.DeviceForward, round, () =>
                    world.Stations.Compute(client, work.Backward, ActivityKind.DeviceBackward, round, () =>
                        world.Stations.Upload(client, _adapterBytes, round, Arrived))));
        }

        void Arrived()
        {
            if (--missing > 0)
            {
                return;
            }

            world.EpochEnded();
            if (round + 1 < world.Workload.Epochs)
            {
                Round(round + 1);
            }
        }
    }
}

/// <summary>
/// SplitLoRA: a client goes forward with a batch, sends its activations, waits for the server's forward and backward pass and for the gradient,
/// and goes backward; only then it begins its next batch. The server takes batches in the order in which they come. After some local steps, and at
/// an epoch's end, the clients that had a batch send their adapters and get the average. A client without further batches takes no part.
/// </summary>
internal sealed class SplitLoraSimulation(SimulationWorld world)
{
    private readonly long _adapterBytes = world.Costs.SendsGradients ? world.Costs.Sizes.Adapter(0, world.Workload.Boundary) : 0;
    private readonly SampleSize[][][] _batches = [.. Enumerable.Range(0, world.Workload.Clients.Count).Select(client => world.Workload.LocalBatches(client).ToArray())];

    internal void Start() => Epoch(0);

    private void Epoch(int epoch)
    {
        if (epoch < world.Workload.Epochs)
        {
            Round(epoch, firstStep: 0);
        }
    }

    private void Round(int epoch, int firstStep)
    {
        int[] clients = [.. Enumerable.Range(0, _batches.Length).Where(client => _batches[client].Length > firstStep)];
        if (clients.Length == 0)
        {
            world.EpochEnded();
            Epoch(epoch + 1);
            return;
        }

        var untrained = clients.Length;
        if (world.Options.ClientsTakeTurns)
        {
            Step(clients[0], firstStep, firstStep, Trained);
        }
        else
        {
            Array.ForEach(clients, client => Step(client, firstStep, firstStep, Trained));
        }

        void Trained()
        {
            if (--untrained == 0)
            {
                Average(clients, firstStep, () => Round(epoch, firstStep + world.Workload.AveragingSteps));
            }
            else if (world.Options.ClientsTakeTurns)
            {
                Step(clients[^untrained], firstStep, firstStep, Trained);
            }
        }
    }

    private void Step(int client, int step, int firstStep, Action trained)
    {
        if (step == _batches[client].Length || step == firstStep + world.Workload.AveragingSteps)
        {
            trained();
            return;
        }

        var batch = _batches[client][step];
        var cut = world.Workload.Boundary;
        var device = batch.Aggregate(default(PassFlops), (sum, sample) => sum + world.Costs.DeviceStep(FineTuningMethod.SplitLora, client, sample));
        PassFlops[] server = [.. batch.Select(sample => world.Costs.ServerStep(FineTuningMethod.SplitLora, client, sample))];
        world.Stations.Compute(client, device.Forward, ActivityKind.DeviceForward, step, () =>
            world.Stations.Upload(client, world.Costs.Sizes.Activations(batch, cut), step, () =>
                world.Trainer.Train(client, step, server, Answer)));

        void Answer()
        {
            if (!world.Costs.SendsGradients)
            {
                Step(client, step + 1, firstStep, trained);
                return;
            }

            world.Stations.Download(client, world.Costs.Sizes.Gradients(batch, cut), step, () =>
                world.Stations.Compute(client, device.Backward, ActivityKind.DeviceBackward, step, () => Step(client, step + 1, firstStep, trained)));
        }
    }

    private void Average(int[] clients, int step, Action averaged)
    {
        if (!world.Costs.SendsGradients)
        {
            averaged();
            return;
        }

        var (unsent, unfetched) = (clients.Length, clients.Length);
        Array.ForEach(clients, client => world.Stations.Upload(client, _adapterBytes, step, Sent));

        void Sent()
        {
            if (--unsent == 0)
            {
                Array.ForEach(clients, client => world.Stations.Download(client, _adapterBytes, step, Fetched));
            }
        }

        void Fetched()
        {
            if (--unfetched == 0)
            {
                averaged();
            }
        }
    }
}

/// <summary>LoRA in one place: every client sends its raw samples once, then the server trains by the plan.</summary>
internal sealed class CentralisedSimulation(SimulationWorld world)
{
    internal void Start()
    {
        var missing = world.Workload.Clients.Count;
        for (var client = 0; client < world.Workload.Clients.Count; client++)
        {
            world.Stations.Upload(client, world.Costs.Sizes.RawSamples(world.Workload.Clients[client]), 0, () =>
            {
                if (--missing == 0)
                {
                    Epoch(0);
                }
            });
        }
    }

    private void Epoch(int epoch)
    {
        if (epoch == world.Workload.Epochs)
        {
            return;
        }

        var steps = world.Permutation(epoch).Chunk(world.Workload.BatchSize).ToArray();
        for (var i = 0; i < steps.Length; i++)
        {
            var isLast = i == steps.Length - 1;
            PassFlops[] work = [.. steps[i].Select(sample => world.Costs.ServerStep(FineTuningMethod.Centralised, sample.Client, sample.Size))];
            world.Trainer.Train(-1, (epoch * steps.Length) + i, work, () =>
            {
                if (isLast)
                {
                    world.EpochEnded();
                    Epoch(epoch + 1);
                }
            });
        }
    }
}
