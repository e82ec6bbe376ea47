using System.Buffers;
using System.Collections;

namespace SplitFrozen.Contracts.Wire;

/// <summary>Fills the hidden states and the scales of a body, little-endian and row-major; scales are empty but for int8.</summary>
public delegate void StateWriter(Span<byte> hiddenStates, Span<byte> scales);

/// <summary>
/// The cache entries of a batch's samples, in order, in one piece of pooled memory: taking in a message costs no second copy of it from the heap.
/// </summary>
public sealed class CacheEntries : IReadOnlyList<ReadOnlyMemory<byte>>
{
    private readonly int[] _ends;
    private byte[]? _memory;

    internal CacheEntries(int[] lengths)
    {
        _ends = new int[lengths.Length];
        var end = 0;
        for (var i = 0; i < lengths.Length; i++)
        {
            _ends[i] = end = checked(end + lengths[i]);
        }

        _memory = ArrayPool<byte>.Shared.Rent(end);
    }

    /// <inheritdoc/>
    public int Count => _ends.Length;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> this[int index] => Memory.AsMemory(Begin(index), _ends[index] - Begin(index));

    private byte[] Memory => _memory ?? throw new ObjectDisposedException(nameof(CacheEntries));

    /// <summary>
    /// Gives the memory back to the pool. Only to be called when nobody reads the entries any more: after a failure somebody may still, and the
    /// memory is left to the collector.
    /// </summary>
    public void Release()
    {
        if (Interlocked.Exchange(ref _memory, null) is { } memory)
        {
            ArrayPool<byte>.Shared.Return(memory);
        }
    }

    /// <inheritdoc/>
    public IEnumerator<ReadOnlyMemory<byte>> GetEnumerator()
    {
        for (var i = 0; i < Count; i++)
        {
            yield return this[i];
        }
    }

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    internal Span<byte> Writable(int index) => Memory.AsSpan(Begin(index), _ends[index] - Begin(index));

    private int Begin(int index) => index == 0 ? 0 : _ends[index - 1];
}
