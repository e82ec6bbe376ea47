namespace SplitFrozen.Messaging;

/// <summary>An activation message that the coordinator refused.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client whose queue it came from.</param>
/// <param name="Reason">Why it was refused.</param>
/// <param name="Body">The body as it arrived.</param>
public sealed record DeadLetter(string RunId, string ClientId, string Reason, byte[] Body);

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

    public DeadLetter[] ToArray()
    {
        lock (_gate)
        {
            return [.. _letters];
        }
    }
}
