using SplitFrozen.Pipelining;
using SplitFrozen.Training.Optimization;
using SplitFrozen.Training.Pipelining;
using static TorchSharp.torch;

namespace SplitFrozen.Trainer.Stages;

/// <summary>A stage in another trainer: every call is a command, and waits for its answer or the end of the session.</summary>
/// <param name="ask">Sends a command, which is given its number, and waits for the answer; the caller disposes it.</param>
/// <param name="isFirst">Whether it is the first stage of its replica, which gets samples.</param>
internal sealed class RemoteStage(Func<Func<int, StageMessage>, Task<StageMessage>> ask, bool isFirst) : IStage
{
    private const string Gradients = "gradients";
    private IReadOnlyList<string> _parameters = [];

    /// <inheritdoc/>
    public async Task<StageReport> ComputeAsync(PipelineStep step, PipelineSchedule schedule, CancellationToken cancellationToken)
    {
        using var answer = await ask(number => ComputeCommand.Message(number, step, schedule, isFirst)).WaitAsync(cancellationToken).ConfigureAwait(false);
        return answer.Read<StageReport>();
    }

    /// <inheritdoc/>
    public async Task<Tensor> ReadGradientsAsync()
    {
        using var answer = await ask(number => new StageMessage(StageMessageKind.ReadGradients, number, "", [])).ConfigureAwait(false);
        return answer.Take(Gradients) ?? throw new TrainerException("A stage answered without its gradients.");
    }

    /// <inheritdoc/>
    public async Task<double[]> WriteGradientsAsync(Tensor gradients)
    {
        using var answer = await ask(number => new StageMessage(StageMessageKind.WriteGradients, number, "", [(Gradients, gradients)])).ConfigureAwait(false);
        return answer.Read<double[]>();
    }

    /// <inheritdoc/>
    public async Task UpdateAsync(double scale, double learningRate) =>
        (await ask(number => StageMessage.Of(StageMessageKind.Update, number, new UpdateCommand(scale, learningRate))).ConfigureAwait(false)).Dispose();

    /// <summary>Nothing to do: when a step is abandoned the session is over, and its members with it.</summary>
    public Task AbandonAsync() => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task<TrainingState> ReadStateAsync()
    {
        using var answer = await ask(number => new StageMessage(StageMessageKind.ReadState, number, "", [])).ConfigureAwait(false);
        var state = StateMessage.Read(answer);
        _parameters = [.. state.Parameters.Select(parameter => parameter.Name)];
        return state;
    }

    /// <inheritdoc/>
    public async Task RestoreAsync(TrainingState state)
    {
        if (_parameters.Count == 0)
        {
            // Which ones are its own, only the stage knows.
            (await ReadStateAsync().ConfigureAwait(false)).Dispose();
        }

        var own = _parameters.ToHashSet(StringComparer.Ordinal);
        var part = new TrainingState([.. state.Parameters.Where(parameter => own.Contains(parameter.Name))], state.StepsTaken);
        (await ask(number => StateMessage.Of(StageMessageKind.Restore, number, part)).ConfigureAwait(false)).Dispose();
    }

    /// <summary>Carries a command out on a stage of this process.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="stages">Stages of the pipeline.</param>
    /// <param name="command">The command; stays the caller's.</param>
    /// <param name="cancellationToken">The session is over.</param>
    /// <param name="answer">Sends the answer.</param>
    public static async Task CarryOutAsync(IStage stage, int stages, StageMessage command, Action<StageMessage> answer, CancellationToken cancellationToken)
    {
        var number = command.Number;
        switch (command.Kind)
        {
            case StageMessageKind.Compute:
                var compute = command.Read<ComputeCommand>();
                var step = compute.ToStep(command);
                answer(StageMessage.Of(
                    StageMessageKind.Answer, number, await stage.ComputeAsync(step, step.Schedule(compute.Schedule, stages), cancellationToken).ConfigureAwait(false)));
                break;
            case StageMessageKind.ReadGradients:
                using (var gradients = await stage.ReadGradientsAsync().ConfigureAwait(false))
                {
                    answer(new StageMessage(StageMessageKind.Answer, number, "", [(Gradients, gradients)]));
                }

                break;
            case StageMessageKind.WriteGradients:
                using (var gradients = command.Take(Gradients) ?? throw new TrainerException("The command to set gradients has none."))
                {
                    answer(StageMessage.Of(StageMessageKind.Answer, number, await stage.WriteGradientsAsync(gradients).ConfigureAwait(false)));
                }

                break;
            case StageMessageKind.Update:
                var update = command.Read<UpdateCommand>();
                await stage.UpdateAsync(update.Scale, update.LearningRate).ConfigureAwait(false);
                answer(new StageMessage(StageMessageKind.Answer, number, "", []));
                break;
            case StageMessageKind.ReadState:
                using (var state = await stage.ReadStateAsync().ConfigureAwait(false))
                {
                    answer(StateMessage.Of(StageMessageKind.Answer, number, state));
                }

                break;
            case StageMessageKind.Restore:
                using (var state = StateMessage.Read(command))
                {
                    await stage.RestoreAsync(state).ConfigureAwait(false);
                }

                answer(new StageMessage(StageMessageKind.Answer, number, "", []));
                break;
            default:
                throw new TrainerException($"A stage cannot carry out '{command.Kind}'.");
        }
    }
}
