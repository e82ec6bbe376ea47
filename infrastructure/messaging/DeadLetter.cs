using SplitFrozen.Contracts.Api;

namespace SplitFrozen.Messaging;

/// <summary>What an operator sees of the refused messages of all runs.</summary>
public interface IDeadLetters
{
    /// <summary>The newest ones, the newest first; all stay where they are.</summary>
    /// <param name="maximum">Most letters.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    Task<IReadOnlyList<DeadLetterSummary>> NewestAsync(int maximum, CancellationToken cancellationToken);

    /// <summary>Deletes all.</summary>
    /// <returns>How many there were.</returns>
    Task<long> PurgeAsync(CancellationToken cancellationToken);
}

/// <summary>An activation message that the coordinator refused.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client whose queue it came from.</param>
/// <param name="Reason">Why it was refused.</param>
/// <param name="Body">The body as it arrived.</param>
public sealed record DeadLetter(string RunId, string ClientId, string Reason, byte[] Body)
{
    /// <summary>The letter without its body.</summary>
    public DeadLetterSummary Summary => new(RunId, ClientId, Reason, Body.Length);
}

/// <summary>The newest dead letters, bounded in number and bytes. Thread-safe.</summary>
internal sealed class DeadLetterBox(int maximumCount, long maximumBytes)
{
    private readonly Lock _gate = new();
    private readonly Queue<DeadLetter> _letters = [];
    private long _bytes;
    private long _total;

    public long Total => Interlocked.Read(ref _total);

    public void Add(DeadLetter letter)
    {
        lock (_gate)
        {
            _total++;
            _letters.Enqueue(letter);
            _bytes += letter.Body.Length;
            while (_letters.Count > maximumCount || _bytes > maximumBytes)
            {
                _bytes -= _letters.Dequeue().Body.Length;
            }
        }
    }

    /// <summary>Takes all out; tells how many there were.</summary>
    public int Clear()
    {
        lock (_gate)
        {
            var count = _letters.Count;
            _letters.Clear();
            _bytes = 0;
            return count;
        }
    }

    public DeadLetter[] ToArray()
    {
        lock (_gate)
        {
            return [.. _letters];
        }
    }
}
