using System.Threading.Channels;
using SplitFrozen.Messaging;

namespace SplitFrozen.Trainer.Stages;

/// <summary>
/// One member's presence in a session: its mailbox, what it sends, and its links to the neighbours. It ends with the first failure, its own or that of
/// whoever it watches, and never comes back; the session is over then.
/// </summary>
internal sealed class StageConnection : IAsyncDisposable
{
    private static readonly TimeSpan s_watchInterval = TimeSpan.FromSeconds(1);

    private readonly IStageMailboxes _mailboxes;
    private readonly IStageMailbox _mailbox;
    private readonly StageAddress _self;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _lost = new();
    private readonly Lock _gate = new();
    private Task _work = Task.CompletedTask;
    private StageLostException? _reason;

    // Not bounded by number: a stage sends what its schedule lets it compute, at most a step's micro-batches, before it waits for others.
    private readonly Channel<(string Member, byte[] Body)> _outgoing = Channel.CreateUnbounded<(string, byte[])>(new UnboundedChannelOptions { SingleReader = true });

    private StageConnection(IStageMailboxes mailboxes, IStageMailbox mailbox, StageAddress self, StageRole role, TimeProvider time)
    {
        (_mailboxes, _mailbox, _self, _time) = (mailboxes, mailbox, self, time);
        Before = role.Stage == 0 ? null : Link(StageRole.Name(role.Replica, role.Stage - 1));
        Behind = role.Stage == role.Stages - 1 ? null : Link(StageRole.Name(role.Replica, role.Stage + 1));
        Lost = _lost.Token;

        MailStageLink Link(string neighbour) => new(message => Post(neighbour, message));
    }

    /// <summary>The link to the stage before; null for the first.</summary>
    public MailStageLink? Before { get; }

    /// <summary>The link to the stage behind; null for the last.</summary>
    public MailStageLink? Behind { get; }

    /// <summary>Cancelled when the session is over.</summary>
    public CancellationToken Lost { get; }

    /// <summary>Why the session is over; null while it is not.</summary>
    public StageLostException? Reason
    {
        get
        {
            lock (_gate)
            {
                return _reason;
            }
        }
    }

    /// <summary>Opens the mailbox; null while another process is that member.</summary>
    public static async Task<StageConnection?> TryOpenAsync(IStageMailboxes mailboxes, StageAddress self, StageRole role, TimeProvider time, CancellationToken cancellationToken) =>
        await mailboxes.TryOpenAsync(self, cancellationToken).ConfigureAwait(false) is { } mailbox ? new StageConnection(mailboxes, mailbox, self, role, time) : null;

    /// <summary>Begins to receive and to send.</summary>
    /// <param name="handle">Gets every message that is not for a link, in order; disposes it.</param>
    public void Start(Action<StageMessage> handle) => _work = Task.WhenAll(KeepAsync(() => ReceiveAsync(handle)), KeepAsync(SendAsync));

    /// <summary>Begins to look, every second, whether members are still there.</summary>
    public void Watch(IReadOnlyCollection<string> members) => _work = Task.WhenAll(_work, KeepAsync(() => WatchAsync(members)));

    /// <summary>Hands a message to a member; encodes it at once and does not wait.</summary>
    public void Post(string member, StageMessage message) => _outgoing.Writer.TryWrite((member, message.Encode()));

    /// <summary>Ends the session; the first reason counts.</summary>
    public void End(StageLostException reason)
    {
        lock (_gate)
        {
            _reason ??= reason;
        }

        _lost.Cancel();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        End(new StageLostException("The session was closed."));
        await _work.ConfigureAwait(false);
        await _mailbox.DisposeAsync().ConfigureAwait(false);
        Before?.Dispose();
        Behind?.Dispose();
        _lost.Dispose();
    }

    private async Task KeepAsync(Func<Task> work)
    {
        try
        {
            await Task.Run(work).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (Lost.IsCancellationRequested)
        {
            // The session is over.
        }
        catch (Exception exception) when (exception is MailboxGoneException or TrainerException)
        {
            End(new StageLostException(exception.Message, exception));
        }
    }

    private async Task ReceiveAsync(Action<StageMessage> handle)
    {
        await foreach (var body in _mailbox.ReceiveAsync(Lost).ConfigureAwait(false))
        {
            var message = StageMessage.Decode(body);
            switch (message.Kind)
            {
                case StageMessageKind.Ping:
                    message.Dispose();
                    break;
                case StageMessageKind.Activation when Before is not null:
                    Sort(Before, message);
                    break;
                case StageMessageKind.Gradient when Behind is not null:
                    Sort(Behind, message);
                    break;
                default:
                    handle(message);
                    break;
            }
        }
    }

    private static void Sort(MailStageLink link, StageMessage message)
    {
        using (message)
        {
            link.Accept(message);
        }
    }

    private async Task SendAsync()
    {
        await foreach (var (member, body) in _outgoing.Reader.ReadAllAsync(Lost).ConfigureAwait(false))
        {
            await _mailboxes.SendAsync(_self with { Member = member }, body, Lost).ConfigureAwait(false);
        }
    }

    private async Task WatchAsync(IReadOnlyCollection<string> members)
    {
        var ping = new StageMessage(StageMessageKind.Ping, 0, "", []).Encode();
        using var timer = new PeriodicTimer(s_watchInterval, _time);
        while (await timer.WaitForNextTickAsync(Lost).ConfigureAwait(false))
        {
            await Task.WhenAll(members.Select(member => _mailboxes.SendAsync(_self with { Member = member }, ping, Lost))).ConfigureAwait(false);
        }
    }
}
