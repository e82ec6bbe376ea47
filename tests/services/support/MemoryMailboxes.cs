using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using SplitFrozen.Messaging;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>Mailboxes within one process.</summary>
internal sealed class MemoryMailboxes : IStageMailboxes
{
    private readonly ConcurrentDictionary<StageAddress, Mailbox> _open = [];
    private readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when a mailbox is open.</summary>
    public Task FirstOpen => _first.Task;

    /// <summary>Loses every connection.</summary>
    public void Cut()
    {
        foreach (var mailbox in _open.Values)
        {
            mailbox.Bodies.Writer.TryComplete(new MailboxGoneException("The connection is lost."));
        }
    }

    public Task<IStageMailbox?> TryOpenAsync(StageAddress address, CancellationToken cancellationToken)
    {
        var mailbox = new Mailbox(() => _open.TryRemove(address, out _));
        var opened = _open.TryAdd(address, mailbox);
        _first.TrySetResult();
        return Task.FromResult<IStageMailbox?>(opened ? mailbox : null);
    }

    public async Task SendAsync(StageAddress address, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        if (!_open.TryGetValue(address, out var mailbox))
        {
            throw new MailboxGoneException($"Nobody is there as {address}.");
        }

        await mailbox.Bodies.Writer.WriteAsync(body.ToArray(), cancellationToken);
    }

    private sealed class Mailbox(Action closed) : IStageMailbox
    {
        public Channel<byte[]> Bodies { get; } = Channel.CreateUnbounded<byte[]>();

        public async IAsyncEnumerable<byte[]> ReceiveAsync([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (var body in Bodies.Reader.ReadAllAsync(cancellationToken))
            {
                yield return body;
            }
        }

        public ValueTask DisposeAsync()
        {
            closed();
            return ValueTask.CompletedTask;
        }
    }
}
