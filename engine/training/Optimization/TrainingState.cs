namespace SplitFrozen.Training.Optimization;

/// <summary>What optimisers have learnt: a checkpoint's content. The caller disposes the tensors.</summary>
/// <param name="parameters">Every parameter with its moments, in the order of the model.</param>
/// <param name="stepsTaken">Updates behind them.</param>
public sealed class TrainingState(IReadOnlyList<ParameterState> parameters, int stepsTaken) : IDisposable
{
    /// <summary>Every parameter with its moments.</summary>
    public IReadOnlyList<ParameterState> Parameters { get; } = parameters;

    /// <summary>Updates behind them; part of the state, because AdamW's bias correction depends on it.</summary>
    public int StepsTaken { get; set; } = stepsTaken;

    /// <summary>One state of several optimisers that step together.</summary>
    /// <param name="parts">Their states in the order of the model; they are taken over.</param>
    /// <exception cref="ArgumentException">They have not taken the same number of steps.</exception>
    public static TrainingState Join(IReadOnlyList<TrainingState> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        return parts.Any(part => part.StepsTaken != parts[0].StepsTaken)
            ? throw new ArgumentException($"The optimisers have taken {string.Join(", ", parts.Select(part => part.StepsTaken))} steps; they must step together.", nameof(parts))
            : new TrainingState([.. parts.SelectMany(part => part.Parameters)], parts[0].StepsTaken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var parameter in Parameters)
        {
            parameter.Dispose();
        }
    }
}
