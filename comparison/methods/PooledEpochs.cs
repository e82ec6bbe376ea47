using SplitFrozen.Contracts.Planning;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Comparison.Methods;

/// <summary>Epochs by one plan over all training samples, whoever holds them.</summary>
internal static class PooledEpochs
{
    /// <summary>Evaluates, then trains and evaluates epoch by epoch.</summary>
    /// <exception cref="MethodException">The training diverged.</exception>
    public static IReadOnlyList<EpochResult> Train(
        string method, LocalTraining training, TrainingPlan plan, Action<EpochResult>? observe, CancellationToken cancellationToken)
    {
        using var tuner = training.Tuner(plan);
        var log = new EpochLog(observe);
        log.Add(new EpochResult(0, null, training.Evaluate(tuner, cancellationToken)));
        for (var epoch = 0; epoch < plan.Epochs; epoch++)
        {
            var sums = Divergence.Named($"{method}, epoch {epoch + 1}", () => training.TrainEpoch(tuner, plan, epoch, cancellationToken));
            log.Add(new EpochResult(epoch + 1, sums.MeanLoss, training.Evaluate(tuner, cancellationToken)));
        }

        return log.Epochs;
    }
}

/// <summary>Keeps the results of epochs and tells an observer.</summary>
internal sealed class EpochLog(Action<EpochResult>? observe)
{
    private readonly List<EpochResult> _epochs = [];

    public IReadOnlyList<EpochResult> Epochs => _epochs;

    public void Add(EpochResult result)
    {
        _epochs.Add(result);
        observe?.Invoke(result);
    }
}

/// <summary>Gives a divergence the name of the place where it happened.</summary>
internal static class Divergence
{
    /// <exception cref="MethodException">The work diverged.</exception>
    public static T Named<T>(string place, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (TrainingDivergedException exception)
        {
            throw new MethodException($"{place}: {exception.Message}", exception);
        }
    }
}
