namespace SplitFrozen.Messaging;

/// <summary>Where a member of a pipeline of trainers takes what the others send it.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Session">The pipeline's session: a new one after every failure, so that nothing of an earlier one is ever met again.</param>
/// <param name="Member">The member, unique in the session.</param>
public sealed record StageAddress(string RunId, string Session, string Member)
{
    /// <inheritdoc/>
    public override string ToString() => $"member {Member} of run '{RunId}'";
}

/// <summary>
/// What trainers that share a run's blocks send each other while they work on one step: transient, bounded, checked. Nothing here survives a lost
/// connection; whoever meets <see cref="MailboxGoneException"/> gives the session up.
/// </summary>
public interface IStageMailboxes
{
    /// <summary>Opens a mailbox; null while another process has it.</summary>
    Task<IStageMailbox?> TryOpenAsync(StageAddress address, CancellationToken cancellationToken);

    /// <summary>Sends a body of any size and waits until it is in the mailbox; while that is full, it waits. Bodies of one caller arrive in its order.</summary>
    /// <exception cref="MailboxGoneException">Nobody has this mailbox, or the connection is lost.</exception>
    Task SendAsync(StageAddress address, ReadOnlyMemory<byte> body, CancellationToken cancellationToken);
}

/// <summary>An open mailbox. It ends with its process or its connection, whichever comes first.</summary>
public interface IStageMailbox : IAsyncDisposable
{
    /// <summary>Bodies as they come; one reader.</summary>
    /// <exception cref="MailboxGoneException">The connection is lost, or what came was damaged.</exception>
    IAsyncEnumerable<byte[]> ReceiveAsync(CancellationToken cancellationToken);
}

/// <summary>A mailbox is not, or no longer, there.</summary>
public sealed class MailboxGoneException(string message, Exception? inner = null) : Exception(message, inner);
