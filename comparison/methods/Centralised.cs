using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Comparison.Methods;

/// <summary>
/// LoRA on the pooled data, on one machine that has model and data: what no federated method can expect to beat. There are no
/// clients here, no partition and no store of activations: the frozen blocks run anew for every batch, beside other samples in
/// every epoch.
/// </summary>
public static class Centralised
{
    /// <summary>Trains the blocks <c>[boundary, L)</c> and the head.</summary>
    /// <param name="problem">Model, data and hyperparameters.</param>
    /// <param name="boundary">First block that trains, F; 0 trains all blocks.</param>
    /// <param name="roundedTo">
    /// What the hidden states at F are rounded to. The wire type of a run makes the two comparable bit by bit; f32 rounds nothing.
    /// </param>
    /// <param name="observe">Told after each evaluation.</param>
    /// <param name="cancellationToken">Stops between steps.</param>
    /// <exception cref="MethodException">The training diverged.</exception>
    public static MethodOutcome Train(
        FineTuningProblem problem, int boundary, WireType roundedTo, Action<EpochResult>? observe = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(problem);
        using var encoder = FrozenEncoder.Open(problem.Model, boundary);
        using var model = UpperModel.Open(
            problem.Model, RunModel.Options(problem.Spec, problem.Data.Task.Classes) with { LowestCut = boundary, Boundary = boundary });
        var training = new LocalTraining(problem, model, new ComputedSamples(problem.Data, encoder, roundedTo));
        var plan = LocalTraining.Plan(problem, problem.Data.Train);
        var epochs = PooledEpochs.Train("Centralised LoRA", training, plan, observe, cancellationToken);
        var work = Work.Forward(problem.Model.Config, problem.Model.Config.Layers, problem.Data.Train, problem.Spec.Training.Epochs);
        return new MethodOutcome(epochs, TrainedValues.Of(model.Parameters), [], work with
        {
            BackwardTokens = work.ForwardTokens,
            Steps = plan.TotalSteps,
        });
    }
}
