using System.Threading.Channels;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;
using SplitFrozen.Trainer.Hosting;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Pipelining;

namespace SplitFrozen.Trainer.Stages;

/// <summary>One stage in a session, from its blocks' loading to the session's end: carries the leader's commands out, one after the other.</summary>
internal sealed class StageServer : IAsyncDisposable
{
    private readonly StageConnection _connection;
    private readonly OpenedRun _opened;
    private readonly LocalStage _stage;
    private readonly StageRole _role;

    // The leader sends a command when the one before it is answered.
    private readonly Channel<StageMessage> _commands = Channel.CreateUnbounded<StageMessage>();

    private StageServer(StageConnection connection, OpenedRun opened, LocalStage stage, StageRole role) => (_connection, _opened, _stage, _role) = (connection, opened, stage, role);

    /// <summary>Takes the stage and loads its blocks; null while another process has it.</summary>
    /// <exception cref="TrainerException">The run cannot be opened here, or is of another model.</exception>
    public static async Task<StageServer?> TryOpenAsync(StagesOffered offer, StageRole role, IStageMailboxes mailboxes, TimeProvider time, CancellationToken cancellationToken)
    {
        var connection = await StageConnection.TryOpenAsync(mailboxes, new StageAddress(offer.RunId, offer.Session, role.Member), role, time, cancellationToken).ConfigureAwait(false);
        if (connection is null)
        {
            return null;
        }

        OpenedRun? opened = null;
        try
        {
            opened = await Task.Run(() => OpenedRun.Open(offer.Spec), cancellationToken).ConfigureAwait(false);
            if (opened.Model.Fingerprint != offer.ModelFingerprint)
            {
                throw new TrainerException($"the model at '{offer.Spec.Model.Path}' is another one than the leader's ({opened.Model.Fingerprint}, not {offer.ModelFingerprint}): give all stages the same model.");
            }

            var stage = await LocalStage.OpenAsync(
                opened.Model, RunModel.Options(offer.Spec, opened.Task.Classes) with { LowestCut = opened.LowestCut }, new StagePlace(role.Stage, offer.Boundaries),
                offer.Spec.Training, RunModel.Seed(offer.Spec), connection.Before, connection.Behind, time).ConfigureAwait(false);
            return new StageServer(connection, opened, stage, role);
        }
        catch
        {
            opened?.Dispose();
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Serves until the session is over; returns why.</summary>
    /// <exception cref="OperationCanceledException">This process stops.</exception>
    public async Task<string> RunAsync(CancellationToken stoppingToken)
    {
        var leader = StageRole.Name(0, 0);
        _connection.Start(message => _commands.Writer.TryWrite(message));
        _connection.Watch([leader]);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(_connection.Lost, stoppingToken);
        try
        {
            await foreach (var command in _commands.Reader.ReadAllAsync(stop.Token).ConfigureAwait(false))
            {
                using (command)
                {
                    await CarryOutAsync(command, answer => _connection.Post(leader, answer), stop.Token).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
        {
            // The session is over.
        }

        return _connection.Reason?.Message ?? "the session is over.";
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // Ends the session first: a stage that waits for a neighbour waits no longer.
        await _connection.DisposeAsync().ConfigureAwait(false);
        await _stage.DisposeAsync().ConfigureAwait(false);
        _opened.Dispose();
    }

    private async Task CarryOutAsync(StageMessage command, Action<StageMessage> answer, CancellationToken cancellationToken)
    {
        using var span = TrainerTelemetry.StartStageCommand(command.TraceParent, command.Kind.ToString(), _role.Stage);
        try
        {
            await RemoteStage.CarryOutAsync(_stage, _role.Stages, command, answer, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            // The leader decides what it means for the run.
            answer(new StageMessage(StageMessageKind.Failure, command.Number, exception.Message, []));
        }
    }
}
