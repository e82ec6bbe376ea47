using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.FineTuning;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Methods;

/// <summary>
/// SplitLoRA (Lin et al., arXiv 2407.00952): clients hold the blocks <c>[0, c)</c> with adapters, the server the blocks <c>[c, L)</c>
/// with adapters and the head. Activations go up, their gradients come down, and every so many steps the clients' adapters are
/// averaged by numbers of samples. As in the authors' public implementation the clients take turns, batch by batch, and the one
/// server part takes a step after each batch; every client and the server have an AdamW of their own, whose state stays.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>One cut for all clients, the run's boundary: the method knows no catch-up.</item>
/// <item>The public implementation stops an epoch when its smallest client has no more batches, and averages without weights. Here
/// a client that is through waits for the others, so that every sample counts once an epoch, and weights are numbers of samples.</item>
/// <item>The client's learning rate is that of the server's step, whose schedule runs over all batches of all clients.</item>
/// <item>Gradients are clipped on either side by the norm of that side's part: norms are not exchanged. With clipping off, one client
/// that averages at every step trains what LoRA over all blocks trains.</item>
/// <item>The held-out split is measured with the average of the clients' adapters, which the clients do not take over for that.</item>
/// </list>
/// </remarks>
public sealed class SplitLora : IDisposable
{
    private const int EvaluationBatch = 128;

    private readonly FineTuningProblem _problem;
    private readonly SplitLoraOptions _options;
    private readonly double[] _weights;
    private readonly LowerModel _lower;
    private readonly UpperModel _upper;
    private readonly SplitLoraClient[] _clients;
    private readonly FineTuner _server;
    private WorkCount _serverWork = new();
    private int _step;

    private SplitLora(FineTuningProblem problem, IReadOnlyList<ClientShare> clients, SplitLoraOptions options)
    {
        (_problem, _options, _weights) = (problem, options, ClientShare.Weights(clients));
        var upper = RunModel.Options(problem.Spec, problem.Data.Task.Classes) with { GradientAtBoundary = true };
        _lower = LowerModel.Open(problem.Model, upper.Boundary, upper.Lora!, upper.Seed);
        _upper = UpperModel.Open(problem.Model, upper);
        _clients = [.. clients.Select(client => new SplitLoraClient(problem, client, _lower))];
        _server = new FineTuner(_upper, problem.Spec.Training, _clients.Sum(client => client.Plan.TotalSteps), problem.Seed, problem.IsLanguageModel);
    }

    /// <summary>Trains the run's epochs, and evaluates after each.</summary>
    /// <param name="problem">Model, data and hyperparameters; the boundary is the cut and at least 1.</param>
    /// <param name="clients">Who holds which samples; their cuts are not looked at.</param>
    /// <param name="options">Averaging and wire.</param>
    /// <param name="observe">Told after each evaluation.</param>
    /// <param name="cancellationToken">Stops between steps.</param>
    /// <exception cref="ArgumentException">The boundary or the interval is less than 1.</exception>
    /// <exception cref="MethodException">The training diverged.</exception>
    public static MethodOutcome Train(
        FineTuningProblem problem, IReadOnlyList<ClientShare> clients, SplitLoraOptions options, Action<EpochResult>? observe = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(clients);
        ArgumentNullException.ThrowIfNull(options);
        if (options.AveragingInterval < 1)
        {
            throw new ArgumentException($"The averaging interval is {options.AveragingInterval}; expected at least 1.", nameof(options));
        }

        if (problem.Spec.Model.Boundary < 1)
        {
            throw new ArgumentException("SplitLoRA needs a boundary of at least 1: clients hold the blocks below it.", nameof(problem));
        }

        using var noGradient = no_grad();
        using var method = new SplitLora(problem, clients, options);
        return method.Run(new EpochLog(observe), cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _server.Dispose();
        Array.ForEach(_clients, client => client.Dispose());
        _upper.Dispose();
        _lower.Dispose();
    }

    private MethodOutcome Run(EpochLog log, CancellationToken cancellationToken)
    {
        log.Add(new EpochResult(0, null, Evaluate(cancellationToken)));
        for (var epoch = 0; epoch < _problem.Spec.Training.Epochs; epoch++)
        {
            var sums = TrainEpoch(epoch, cancellationToken);
            log.Add(new EpochResult(epoch + 1, sums.MeanLoss, Evaluate(cancellationToken)));
        }

        // The evaluation has left the average of the clients' adapters in the lower model.
        return new MethodOutcome(
            log.Epochs, TrainedValues.Of(_lower.Parameters.Concat(_upper.Parameters)), [.. _clients.Select(client => client.Work)], _serverWork);
    }

    private EpochSums TrainEpoch(int epoch, CancellationToken cancellationToken)
    {
        var sums = default(EpochSums);
        var turns = _clients.Max(client => client.Plan.StepsPerEpoch);
        for (var turn = 0; turn < turns; turn++)
        {
            foreach (var client in _clients.Where(client => turn < client.Plan.StepsPerEpoch))
            {
                cancellationToken.ThrowIfCancellationRequested();
                var step = (epoch * client.Plan.StepsPerEpoch) + turn;
                sums += Divergence.Named($"SplitLoRA, epoch {epoch + 1}, client {client.Share.Index}", () => TrainBatch(client, step));
                if (_step % _options.AveragingInterval == 0)
                {
                    AverageClients();
                }
            }
        }

        return sums;
    }

    /// <summary>One batch: up through the client and the server, and down again.</summary>
    private StepResult TrainBatch(SplitLoraClient client, int clientStep)
    {
        using var scope = NewDisposeScope();
        var samples = client.Samples(clientStep);
        var (hidden, sent) = Send(client.Forward(clientStep, samples), _options.ActivationType);
        using var batch = SampleBatch.Split(hidden, _lower.Cut, samples);
        var gradients = new List<Tensor>();
        var result = _server.Train(_step, batch.Samples, gradients);
        var (gradient, received) = Send(cat(gradients, 0), _options.GradientType);
        client.Backward(_step, gradient, result.LearningRate, Work.Forward(_lower.Config, _lower.Cut, samples) with
        {
            BackwardTokens = result.Tokens,
            Steps = 1,
            ActivationBytesSent = sent + (samples.Sum(sample => (long)sample.Labels.Length) * Work.LabelBytes),
            GradientBytesReceived = received,
        });
        _serverWork = _serverWork.Plus(Work.Forward(_lower.Config, _lower.Config.Layers - _lower.Cut, samples) with { BackwardTokens = result.Tokens, Steps = 1 });
        _step++;
        return result;
    }

    /// <summary>What arrives of a tensor <c>[ΣT, H]</c>, and the bytes that travelled.</summary>
    private static (Tensor Arrived, long Bytes) Send(Tensor tensor, WireType type)
    {
        var (states, scales) = HiddenStateCodec.Encode(tensor, type);
        return (HiddenStateCodec.Decode(states, scales, tensor.shape[0], tensor.shape[1], type), states.LongLength + scales.LongLength);
    }

    private void AverageClients()
    {
        using var average = Average();
        var bytes = TrainedValues.Bytes(_lower.Parameters);
        Array.ForEach(_clients, client => client.Take(average, bytes));
    }

    private Tensor Average() => Averaging.Weighted([.. _clients.Select(client => client.Values)], _weights);

    private IReadOnlyDictionary<string, double> Evaluate(CancellationToken cancellationToken)
    {
        using (var average = Average())
        {
            _ = _lower.FlatValues.copy_(average);
        }

        var accumulator = new EvaluationAccumulator(_problem.Data.Task);
        foreach (var samples in _problem.Data.Evaluation.Chunk(EvaluationBatch))
        {
            cancellationToken.ThrowIfCancellationRequested();
            EvaluateInto(accumulator, samples);
        }

        return accumulator.Metrics();
    }

    private void EvaluateInto(EvaluationAccumulator accumulator, EncodedSample[] samples)
    {
        using var scope = NewDisposeScope();
        using var layout = new SequenceLayout(Array.ConvertAll(samples, sample => sample.Tokens.Length));
        using var pass = _lower.Forward([.. samples.SelectMany(sample => sample.Tokens)], layout, dropoutSeed: 0, training: false);
        using var batch = SampleBatch.Split(Send(pass.Hidden, _options.ActivationType).Arrived, _lower.Cut, samples);
        _server.EvaluateInto(accumulator, batch.Samples);
    }
}
