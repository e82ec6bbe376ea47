using System.Diagnostics;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Models;
using SplitFrozen.Pipelining;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pipelining;

/// <summary>
/// One stage of the trained blocks: what a schedule asks for of a step, then the update of its own parameters. Gradients are summed in the order of the
/// micro-batches, as <see cref="FineTuner"/> sums them, so the bits do not depend on the number of stages or the schedule. Not
/// thread-safe; runs on the calling thread, which should be a compute thread.
/// </summary>
public sealed class PipelineStage : IStageWork, IDisposable
{
    private readonly int _stage;
    private readonly UpperModel _model;
    private readonly ulong _seed;
    private readonly StageLink? _before;
    private readonly StageLink? _behind;
    private readonly Dictionary<int, Flight> _flights = [];
    private readonly List<HeadResult> _heads = [];
    private PipelineStep? _step;

    /// <summary>Starts with moments of zero.</summary>
    /// <param name="stage">Which stage it is, from 0.</param>
    /// <param name="model">The stage's blocks: the lowest stage's begin at the boundary, the highest stage's have the head. Stays the caller's.</param>
    /// <param name="spec">The optimiser.</param>
    /// <param name="seed">Seed of the run, for dropout.</param>
    /// <param name="before">The link to the stage before; null for the first.</param>
    /// <param name="behind">The link to the stage behind; null for the last.</param>
    public PipelineStage(int stage, UpperModel model, TrainingSpec spec, ulong seed, StageLink? before, StageLink? behind)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(spec);
        (_stage, _model, _seed, _before, _behind) = (stage, model, seed, before, behind);
        Optimizer = AdamW.Over(model.FlatValues, model.FlatGradients, model.Parameters, AdamWOptions.From(spec));
    }

    /// <summary>Parameters and moments of the stage.</summary>
    public AdamW Optimizer { get; }

    /// <summary>What the stage with the head has seen of the step so far, by micro-batch; empty for the others.</summary>
    public IReadOnlyList<HeadResult> Heads => _heads;

    /// <summary>Begins a step: what is done from now on belongs to it.</summary>
    public void Begin(PipelineStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        _step = step;
        _heads.Clear();
    }

    /// <inheritdoc/>
    public void ReceiveActivation(int microBatch, CancellationToken cancellationToken)
    {
        var outline = _step!.MicroBatches[microBatch];
        using var span = Span(SpanNames.TransferActivation, microBatch);
        Open(microBatch, MicroBatch.Of(_before!.ReceiveActivation(microBatch, cancellationToken), outline.Lengths, outline.Labels));
    }

    /// <inheritdoc/>
    public void Forward(int microBatch)
    {
        var step = _step!;
        var outline = step.MicroBatches[microBatch];
        using var span = Span(SpanNames.Forward, microBatch, outline.Lengths.Sum());
        if (_before is null)
        {
            Open(microBatch, MicroBatch.Prepare(_model, step.Samples![microBatch]));
        }

        var flight = _flights[microBatch];
        var batch = flight.Batch;
        var dropoutSeed = MicroBatch.DropoutSeed(_seed, step.Step, outline.Index);
        var pass = flight.Pass = _model.Forward(batch.Hidden, batch.Layout, batch.Labels, dropoutSeed, step.Trains);

        // The pass has a handle of its own on what it needs of them.
        batch.Hidden.Dispose();
        if (_behind is null)
        {
            _heads.Add(HeadResult.Of(pass, withPredictions: !step.Trains));
            EndWhenForwardOnly(microBatch);
        }
    }

    /// <inheritdoc/>
    public void SendActivation(int microBatch)
    {
        using (Span(SpanNames.TransferActivation, microBatch))
        {
            _behind!.SendActivation(microBatch, _flights[microBatch].Pass!.Output!);
        }

        EndWhenForwardOnly(microBatch);
    }

    /// <inheritdoc/>
    public void ReceiveGradient(int microBatch, CancellationToken cancellationToken)
    {
        using var span = Span(SpanNames.TransferGradient, microBatch);
        _flights[microBatch].Gradient = _behind!.ReceiveGradient(microBatch, cancellationToken);
    }

    /// <inheritdoc/>
    public void BackwardInput(int microBatch)
    {
        using var span = Span(SpanNames.BackwardInput, microBatch);
        var flight = _flights[microBatch];
        if (_behind is null)
        {
            flight.Pass!.BackwardInput(MicroBatch.Share(flight.Pass.CountedLabels, _step!.CountedLabels), flight.Deferred);
        }
        else if (flight.Gradient is { } gradient)
        {
            flight.Pass!.BackwardInput(gradient, flight.Deferred);
            gradient.Dispose();
            flight.Gradient = null;
        }
    }

    /// <inheritdoc/>
    public void BackwardWeight(int microBatch)
    {
        using var span = Span(SpanNames.BackwardWeight, microBatch);
        var flight = _flights[microBatch];
        flight.Deferred.Run();
        flight.IsSummed = true;
        EndWhenDone(microBatch, flight);
    }

    /// <inheritdoc/>
    public void SendGradient(int microBatch)
    {
        using var span = Span(SpanNames.TransferGradient, microBatch);
        var flight = _flights[microBatch];
        _before!.SendGradient(microBatch, flight.Pass!.HiddenGradient);
        flight.IsSent = true;
        EndWhenDone(microBatch, flight);
    }

    /// <summary>Scales the step's gradients, and updates the parameters.</summary>
    /// <param name="scale">Factor from <see cref="GradientClipping.Scale"/> of all stages' norm.</param>
    /// <param name="learningRate">Learning rate of the step.</param>
    public void Update(double scale, double learningRate)
    {
        using var span = TrainingSpans.Pass(SpanNames.OptimizerStep, stage: _stage);
        Optimizer.ScaleGradients(scale);
        Optimizer.Step(learningRate);
        _model.ClearGradients();
    }

    /// <summary>Drops what a step has left: its micro-batches in flight, what came for it, and its gradients. The parameters are those of the step before.</summary>
    public void Abandon()
    {
        foreach (var microBatch in _flights.Keys.ToArray())
        {
            End(microBatch);
        }

        _before?.Clear();
        _behind?.Clear();
        Optimizer.ZeroGradients();
        _model.ClearGradients();
    }

    /// <summary>Frees the moments and what is in flight; the model stays.</summary>
    public void Dispose()
    {
        foreach (var flight in _flights.Values)
        {
            flight.Dispose();
        }

        _flights.Clear();
        Optimizer.Dispose();
    }

    private Activity? Span(string name, int microBatch, long tokens = -1) => TrainingSpans.Pass(name, _step!.MicroBatches[microBatch].Index, tokens, _stage);

    /// <summary>A micro-batch is over with its W and, where there is a stage before, its send: whichever comes last.</summary>
    private void EndWhenDone(int microBatch, Flight flight)
    {
        if (flight.IsSummed && (flight.IsSent || _before is null))
        {
            End(microBatch);
        }
    }

    private void EndWhenForwardOnly(int microBatch)
    {
        if (!_step!.Trains)
        {
            End(microBatch);
        }
    }

    private void Open(int microBatch, MicroBatch batch) => _flights[microBatch] = new Flight(batch);

    private void End(int microBatch)
    {
        if (_flights.Remove(microBatch, out var flight))
        {
            flight.Dispose();
        }
    }

    /// <summary>A micro-batch between its arrival and its W.</summary>
    private sealed class Flight(MicroBatch batch) : IDisposable
    {
        public MicroBatch Batch => batch;

        public ForwardPass? Pass { get; set; }

        public Tensor? Gradient { get; set; }

        public bool IsSummed { get; set; }

        public bool IsSent { get; set; }

        public WeightGradients Deferred { get; } = new();

        public void Dispose()
        {
            Gradient?.Dispose();
            Deferred.Dispose();
            Pass?.Dispose();
            batch.Dispose();
        }
    }
}
