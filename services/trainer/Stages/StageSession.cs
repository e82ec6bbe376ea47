using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;
using SplitFrozen.Models;
using SplitFrozen.Training.Pipelining;

namespace SplitFrozen.Trainer.Stages;

/// <summary>What a leader needs to gather the stages of a run.</summary>
internal sealed record StageSessionSetup(
    TrainerOptions Options, ModelFolder Model, StageRole Role, IReadOnlyList<int> Boundaries, IControlPlane Control, IStageMailboxes Mailboxes, TimeProvider Time, ILogger Logger);

/// <summary>
/// The leader's side of a session: its own stage, and the other ones by command. A session that was lost stays lost; its leader gathers a new one and
/// begins at the last checkpoint.
/// </summary>
internal sealed class StageSession : StageSet
{
    private static readonly TimeSpan s_offerInterval = TimeSpan.FromSeconds(1);

    private readonly StageConnection _connection;
    private readonly ConcurrentDictionary<int, TaskCompletionSource<StageMessage>> _open = [];
    private readonly CancellationTokenRegistration _whenLost;
    private readonly List<List<IStage>> _replicas = [];
    private LocalStage? _own;
    private int _lastNumber;

    private StageSession(StageConnection connection)
    {
        _connection = connection;
        _whenLost = connection.Lost.Register(FailOpen);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<IReadOnlyList<IStage>> Replicas => _replicas;

    /// <summary>Offers the stages until every one is taken, and loads the leader's own.</summary>
    /// <exception cref="TrainerException">A member cannot be the stage that it was started as; its reason is in the message.</exception>
    /// <exception cref="StageLostException">A member was lost meanwhile.</exception>
    public static async Task<StageSession> GatherAsync(StageSessionSetup setup, CancellationToken cancellationToken)
    {
        var address = new StageAddress(setup.Options.RunId, Guid.NewGuid().ToString("N"), setup.Role.Member);
        var connection = await StageConnection.TryOpenAsync(setup.Mailboxes, address, setup.Role, setup.Time, cancellationToken).ConfigureAwait(false)
            ?? throw new StageLostException("The leader's mailbox is taken.");
        var session = new StageSession(connection);
        try
        {
            connection.Start(session.Answered);
            session._own = await LocalStage.OpenAsync(
                setup.Model, setup.Options.ModelOptions, new StagePlace(0, setup.Boundaries), setup.Options.Spec.Training, setup.Options.Seed,
                connection.Before, connection.Behind, setup.Time).ConfigureAwait(false);
            await session.OfferAsync(setup, address, cancellationToken).ConfigureAwait(false);
            connection.Watch([.. setup.Role.Others]);
            session.Arrange(setup.Role);
            return session;
        }
        catch
        {
            await session.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync().ConfigureAwait(false);
        await _whenLost.DisposeAsync().ConfigureAwait(false);
        if (_own is not null)
        {
            await _own.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task OfferAsync(StageSessionSetup setup, StageAddress address, CancellationToken cancellationToken)
    {
        var missing = new ConcurrentDictionary<string, byte>(setup.Role.Others.Select(member => KeyValuePair.Create(member, (byte)0)));
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var lost = _connection.Lost.Register(() => all.TrySetException(_connection.Reason!));
        using var subscription = setup.Control.Subscribe<StageJoined>((message, _) =>
        {
            if (message.Session == address.Session)
            {
                Join(message);
            }

            return ValueTask.CompletedTask;
        });
        var offer = new StagesOffered(setup.Options.RunId, address.Session, setup.Options.Spec, setup.Model.Fingerprint, [.. setup.Boundaries], setup.Role.Replicas);
        using var timer = new PeriodicTimer(s_offerInterval, setup.Time);
        setup.Logger.LogInformation("Run {Run}: looking for the stages {Members}; the blocks are cut at {Boundaries}", setup.Options.RunId, string.Join(", ", missing.Keys), string.Join(", ", setup.Boundaries));
        do
        {
            await setup.Control.PublishAsync(offer, cancellationToken).ConfigureAwait(false);
            await Task.WhenAny(all.Task, timer.WaitForNextTickAsync(cancellationToken).AsTask()).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
        }
        while (!all.Task.IsCompleted);
        await all.Task.ConfigureAwait(false);

        void Join(StageJoined message)
        {
            if (message.Fault is { } fault)
            {
                all.TrySetException(new TrainerException($"Trainer '{message.Trainer}' cannot be stage {message.Member}: {fault}"));
            }
            else if (missing.TryRemove(message.Member, out _))
            {
                setup.Logger.LogInformation("Run {Run}: stage {Member} is trainer '{Trainer}'", message.RunId, message.Member, message.Trainer);
                if (missing.IsEmpty)
                {
                    all.TrySetResult();
                }
            }
        }
    }

    private void Arrange(StageRole role)
    {
        for (var replica = 0; replica < role.Replicas; replica++)
        {
            _replicas.Add([.. Enumerable.Range(0, role.Stages).Select(IStage (stage) => replica == 0 && stage == 0 ? _own! : Remote(StageRole.Name(replica, stage), isFirst: stage == 0))]);
        }
    }

    private RemoteStage Remote(string member, bool isFirst) => new RemoteStage(command => AskAsync(member, command), isFirst);

    private async Task<StageMessage> AskAsync(string member, Func<int, StageMessage> command)
    {
        var number = Interlocked.Increment(ref _lastNumber);
        var answer = new TaskCompletionSource<StageMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        _open[number] = answer;

        // Its tensors stay whoever's they are; posting copies them.
        _connection.Post(member, command(number) with { TraceParent = Activity.Current?.Id });
        if (_connection.Lost.IsCancellationRequested)
        {
            FailOpen();
        }

        var message = await answer.Task.ConfigureAwait(false);
        return message.Kind == StageMessageKind.Answer ? message : throw new TrainerException($"Stage {member}: {message.Content}");
    }

    private void Answered(StageMessage message)
    {
        if (message.Kind is StageMessageKind.Answer or StageMessageKind.Failure && _open.TryRemove(message.Number, out var answer))
        {
            answer.TrySetResult(message);
        }
        else
        {
            message.Dispose();
        }
    }

    private void FailOpen()
    {
        foreach (var number in _open.Keys)
        {
            if (_open.TryRemove(number, out var answer))
            {
                answer.TrySetException(_connection.Reason ?? new StageLostException("The session is over."));
            }
        }
    }
}
