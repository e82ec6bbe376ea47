using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Planning;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Training.FineTuning;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Methods;

/// <summary>How the server makes one adapter of those of its clients.</summary>
public enum AdapterAggregation
{
    /// <summary>A and B are averaged by themselves, as FedAvg does with any weight; the product of the averages is not the average of the products.</summary>
    Average,

    /// <summary>
    /// The average of the products <c>BᵢAᵢ</c>, exactly, by stacking (FLoRA, Wang et al., arXiv 2409.05976): it has up to N times
    /// the rank, so every client adds it to its copy of the base weights and starts the next round with a new adapter.
    /// </summary>
    Stacking,
}

/// <summary>Settings of <see cref="FedLora"/>.</summary>
public sealed record FedLoraOptions
{
    /// <summary>Epochs that a client trains between two aggregations, at least 1; must divide the run's epochs.</summary>
    public int LocalEpochs { get; init; } = 1;

    /// <summary>How adapters become one.</summary>
    public AdapterAggregation Aggregation { get; init; }
}

/// <summary>
/// FedAvg over LoRA: each client holds the whole model and trains adapters in all blocks and the head on its own samples; after
/// each round the server averages them by numbers of samples. All clients take part in every round.
/// </summary>
/// <remarks>
/// The optimiser's state stays on no client: moments start at zero in every round, as usual with FedAvg. The learning-rate schedule
/// does not: it runs once over all rounds, on each client over its own number of steps, so that all are equally far in a round.
/// Clients are simulated one after another on one copy of the frozen weights.
/// </remarks>
public sealed class FedLora : IDisposable
{
    private const string Name = "FedLoRA";

    private readonly FineTuningProblem _problem;
    private readonly IReadOnlyList<ClientShare> _clients;
    private readonly FedLoraOptions _options;
    private readonly double[] _weights;
    private readonly TrainingPlan[] _plans;
    private readonly FrozenEncoder _embeddings;
    private readonly UpperModel _model;
    private readonly LocalTraining _training;

    private FedLora(FineTuningProblem problem, IReadOnlyList<ClientShare> clients, FedLoraOptions options)
    {
        (_problem, _clients, _options) = (problem, clients, options);
        _weights = ClientShare.Weights(clients);
        _plans = [.. clients.Select(client => LocalTraining.Plan(problem, client.Samples))];
        _embeddings = FrozenEncoder.Open(problem.Model, 0);
        _model = UpperModel.Open(problem.Model, RunModel.Options(problem.Spec, problem.Data.Task.Classes) with { LowestCut = 0, Boundary = 0 });
        _training = new LocalTraining(problem, _model, new ComputedSamples(problem.Data, _embeddings, WireType.Float32));
    }

    /// <summary>Trains the run's epochs in rounds, and evaluates the aggregated model after each.</summary>
    /// <param name="problem">Model, data and hyperparameters.</param>
    /// <param name="clients">Who holds which samples.</param>
    /// <param name="options">Rounds and aggregation.</param>
    /// <param name="observe">Told after each evaluation.</param>
    /// <param name="cancellationToken">Stops between steps.</param>
    /// <exception cref="ArgumentException">The local epochs do not divide the run's epochs.</exception>
    /// <exception cref="MethodException">A client's training diverged.</exception>
    public static MethodOutcome Train(
        FineTuningProblem problem, IReadOnlyList<ClientShare> clients, FedLoraOptions options, Action<EpochResult>? observe = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(clients);
        ArgumentNullException.ThrowIfNull(options);
        var epochs = problem.Spec.Training.Epochs;
        if (options.LocalEpochs < 1 || epochs % options.LocalEpochs != 0)
        {
            throw new ArgumentException($"{options.LocalEpochs} local epochs do not divide the run's {epochs} epochs.", nameof(options));
        }

        using var method = new FedLora(problem, clients, options);
        return method.Run(epochs / options.LocalEpochs, new EpochLog(observe), cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _model.Dispose();
        _embeddings.Dispose();
    }

    private MethodOutcome Run(int rounds, EpochLog log, CancellationToken cancellationToken)
    {
        using var evaluation = _training.Tuner(_plans[0]);
        log.Add(new EpochResult(0, null, _training.Evaluate(evaluation, cancellationToken)));
        for (var round = 0; round < rounds; round++)
        {
            var sums = Round(round, cancellationToken);
            log.Add(new EpochResult((round + 1) * _options.LocalEpochs, sums.MeanLoss, _training.Evaluate(evaluation, cancellationToken)));
        }

        return new MethodOutcome(log.Epochs, TrainedValues.Of(_model.Parameters), [.. _clients.Select(client => WorkOf(client, rounds))], new WorkCount());
    }

    /// <summary>Every client trains from the same values; then the model holds their aggregate.</summary>
    private EpochSums Round(int round, CancellationToken cancellationToken)
    {
        var sums = default(EpochSums);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var start = _model.FlatValues.clone();
        var trained = new List<Tensor>(_clients.Count);
        foreach (var client in _clients)
        {
            _ = _model.FlatValues.copy_(start);
            sums += Divergence.Named($"{Name}, round {round + 1}, client {client.Index}", () => TrainClient(client, round, cancellationToken));
            trained.Add(_model.FlatValues.clone());
        }

        Aggregate(trained, round);
        return sums;
    }

    private EpochSums TrainClient(ClientShare client, int round, CancellationToken cancellationToken)
    {
        var sums = default(EpochSums);
        using var tuner = _training.Tuner(_plans[client.Index]);
        for (var epoch = 0; epoch < _options.LocalEpochs; epoch++)
        {
            sums += _training.TrainEpoch(tuner, _plans[client.Index], (round * _options.LocalEpochs) + epoch, cancellationToken);
        }

        return sums;
    }

    private void Aggregate(List<Tensor> trained, int round)
    {
        if (_options.Aggregation == AdapterAggregation.Stacking)
        {
            for (var client = 0; client < trained.Count; client++)
            {
                _ = _model.FlatValues.copy_(trained[client]);
                _model.MergeAdapters(_weights[client]);
            }
        }

        using var average = Averaging.Weighted(trained, _weights);
        _ = _model.FlatValues.copy_(average);
        if (_options.Aggregation == AdapterAggregation.Stacking)
        {
            // Only the head of the average is kept.
            _model.RestartAdapters(SeededRandom.ForStream(_problem.Seed, "stacked adapters", (ulong)round).NextUInt64());
        }
    }

    private WorkCount WorkOf(ClientShare client, int rounds)
    {
        var adapters = TrainedValues.Bytes(_model.Parameters.Where(parameter => parameter.Name.Contains(".lora_", StringComparison.Ordinal)));
        var head = TrainedValues.Bytes(_model.Parameters) - adapters;
        var received = head + (_options.Aggregation == AdapterAggregation.Stacking ? _clients.Count * adapters : adapters);
        var work = Work.Forward(_problem.Model.Config, _problem.Model.Config.Layers, client.Samples, _problem.Spec.Training.Epochs);
        return work with
        {
            BackwardTokens = work.ForwardTokens,
            Steps = _plans[client.Index].TotalSteps,
            AdapterBytesSent = rounds * (head + adapters),
            AdapterBytesReceived = rounds * received,
        };
    }
}
