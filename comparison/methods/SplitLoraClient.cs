using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Planning;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Methods;

/// <summary>
/// One client of <see cref="SplitLora"/>: the adapters of its lower blocks and its own AdamW. All clients share one copy of the
/// frozen weights, into which each puts its adapters before it computes.
/// </summary>
internal sealed class SplitLoraClient : IDisposable
{
    private readonly FineTuningProblem _problem;
    private readonly LowerModel _model;
    private readonly AdamW _optimizer;
    private readonly WeightGradients _deferred = new();
    private LowerPass? _pass;
    private SequenceLayout? _layout;

    public SplitLoraClient(FineTuningProblem problem, ClientShare share, LowerModel model)
    {
        (_problem, _model, Share) = (problem, model, share);
        Plan = LocalTraining.Plan(problem, share.Samples);
        Values = model.FlatValues.clone().DetachFromDisposeScope();
        _optimizer = AdamW.Over(model.FlatValues, model.FlatGradients, model.Parameters, AdamWOptions.From(problem.Spec.Training));
    }

    /// <summary>Its samples.</summary>
    public ClientShare Share { get; }

    /// <summary>The order of its samples.</summary>
    public TrainingPlan Plan { get; }

    /// <summary>Its adapters, flat <c>[n]</c>.</summary>
    public Tensor Values { get; }

    /// <summary>What its device has done so far.</summary>
    public WorkCount Work { get; private set; } = new();

    /// <summary>Its samples of one of its steps.</summary>
    public EncodedSample[] Samples(int step) => [.. Plan.Samples(Plan.At(step)).ToArray().Select(id => _problem.Data[id])];

    /// <summary>Forward through its blocks; keeps what <see cref="Backward"/> needs.</summary>
    /// <returns>Hidden states <c>[ΣT, H]</c> at the cut, the client's until its next step.</returns>
    public Tensor Forward(int step, EncodedSample[] samples)
    {
        _ = _model.FlatValues.copy_(Values);
        _layout = new SequenceLayout(Array.ConvertAll(samples, sample => sample.Tokens.Length));
        var dropoutSeed = SeededRandom.ForStream(_problem.Seed, "client dropout", (ulong)Share.Index, (ulong)step).NextUInt64();
        _pass = _model.Forward([.. samples.SelectMany(sample => sample.Tokens)], _layout, dropoutSeed, training: true);
        return _pass.Hidden;
    }

    /// <summary>Backward from the server's gradient, and one step of its own AdamW, clipped by the norm of its own part.</summary>
    /// <param name="step">The server's step, for the message of a divergence.</param>
    /// <param name="gradient">Gradient <c>[ΣT, H]</c> of the hidden states.</param>
    /// <param name="learningRate">Learning rate of the server's step.</param>
    /// <param name="work">What this step took.</param>
    /// <exception cref="TrainingDivergedException">The gradient is not finite.</exception>
    public void Backward(int step, Tensor gradient, double learningRate, WorkCount work)
    {
        _pass!.Backward(gradient, _deferred);
        _deferred.Run();
        EndPass();
        var norm = _optimizer.ClipGradients(_problem.Spec.Training.MaxGradientNorm);
        if (!double.IsFinite(norm))
        {
            throw new TrainingDivergedException(step, learningRate);
        }

        _optimizer.Step(learningRate);
        _model.ClearGradients();

        _ = Values.copy_(_model.FlatValues);
        Work = Work.Plus(work);
    }

    /// <summary>Takes averaged adapters; the moments stay.</summary>
    /// <param name="average">Adapters, flat <c>[n]</c>.</param>
    /// <param name="bytes">Bytes of adapters that went up, and that came down.</param>
    public void Take(Tensor average, long bytes)
    {
        _ = Values.copy_(average);
        Work = Work.Plus(new WorkCount { AdapterBytesSent = bytes, AdapterBytesReceived = bytes });
    }

    public void Dispose()
    {
        EndPass();
        _deferred.Dispose();
        _optimizer.Dispose();
        Values.Dispose();
    }

    private void EndPass()
    {
        _pass?.Dispose();
        _layout?.Dispose();
        (_pass, _layout) = (null, null);
    }
}
