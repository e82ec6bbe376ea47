using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Comparison.Methods;

/// <summary>
/// SplitFrozen as a run of this system does it, without its services: each client runs its frozen blocks once over its samples,
/// what it sends goes through the wire type, and the server composes each batch over all clients by the run's plan. The trained
/// adapter is the bytes of <c>splitfrozen run</c>.
/// </summary>
public static class SplitFrozenMethod
{
    /// <summary>Trains the blocks <c>[F, L)</c> and the head on the clients' activations.</summary>
    /// <param name="problem">Model, data and hyperparameters.</param>
    /// <param name="clients">Who holds which samples, and each client's cut.</param>
    /// <param name="store">Activations that were sent before; gets those that were not.</param>
    /// <param name="observe">Told after each evaluation.</param>
    /// <param name="cancellationToken">Stops between steps.</param>
    /// <exception cref="MethodException">The training diverged.</exception>
    public static MethodOutcome Train(
        FineTuningProblem problem, IReadOnlyList<ClientShare> clients, ActivationStore store, Action<EpochResult>? observe = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(clients);
        ArgumentNullException.ThrowIfNull(store);
        var boundary = problem.Spec.Model.Boundary;
        using (var encoder = FrozenEncoder.Open(problem.Model, boundary))
        {
            foreach (var client in clients)
            {
                store.Fill(encoder, client.Cut, client.Samples, problem.Spec.Device.MicroBatch, cancellationToken);
            }

            store.Fill(encoder, boundary, problem.Data.Evaluation, problem.Spec.Device.MicroBatch, cancellationToken);
        }

        using var model = UpperModel.Open(
            problem.Model, RunModel.Options(problem.Spec, problem.Data.Task.Classes) with { LowestCut = clients.Min(client => client.Cut) });
        var training = new LocalTraining(problem, model, new SentSamples(store, clients, boundary));
        var plan = LocalTraining.Plan(problem, clients.SelectMany(client => client.Samples));
        var epochs = PooledEpochs.Train("SplitFrozen", training, plan, observe, cancellationToken);
        return new MethodOutcome(
            epochs, TrainedValues.Of(model.Parameters), [.. clients.Select(client => DeviceWork(problem, client, store.WireType))],
            ServerWork(problem, clients) with { Steps = plan.TotalSteps });
    }

    private static WorkCount DeviceWork(FineTuningProblem problem, ClientShare client, WireType wireType)
    {
        var work = Work.Forward(problem.Model.Config, client.Cut, client.Samples);
        var labels = client.Samples.Sum(sample => (long)sample.Labels.Length) * Work.LabelBytes;
        return work with { ActivationBytesSent = ActivationStore.Bytes(wireType, work.ForwardTokens, problem.Model.Config.Width) + labels };
    }

    /// <summary>Catch-up runs in every epoch, as in a run: the cache holds what devices sent.</summary>
    private static WorkCount ServerWork(FineTuningProblem problem, IReadOnlyList<ClientShare> clients)
    {
        var (config, epochs) = (problem.Model.Config, problem.Spec.Training.Epochs);
        var work = clients
            .Select(client => Work.Forward(config, config.Layers - client.Cut, client.Samples, epochs))
            .Aggregate((sum, next) => sum.Plus(next));
        return work with { BackwardTokens = work.ForwardTokens };
    }

    /// <summary>Samples as the clients sent them, each at its client's cut.</summary>
    private sealed class SentSamples(ActivationStore store, IReadOnlyList<ClientShare> clients, int boundary) : ISampleSource
    {
        private readonly Dictionary<SampleId, int> _cuts = clients
            .SelectMany(client => client.Samples.Select(sample => (sample.Id, client.Cut)))
            .ToDictionary(pair => pair.Id, pair => pair.Cut);

        public SampleBatch Read(IReadOnlyList<SampleId> ids) => new([.. ids.Select(id => store.Read(id, id.IsEvaluation ? boundary : _cuts[id]))]);
    }
}
