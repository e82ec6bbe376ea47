using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// Keys and values of the tokens of one sequence that one block has seen, so that a further token costs one row. The room
/// doubles when it is full.
/// </summary>
internal sealed class KeyValueCache : IDisposable
{
    private const int FirstCapacity = 64;

    private Tensor? _keys;
    private Tensor? _values;

    /// <summary>Number of tokens held.</summary>
    internal long Length { get; private set; }

    /// <summary>All keys, <c>[length, keyValueHeads·d]</c>, a view.</summary>
    internal Tensor Keys => _keys!.narrow(0, 0, Length);

    /// <summary>All values, <c>[length, keyValueHeads·d]</c>, a view.</summary>
    internal Tensor Values => _values!.narrow(0, 0, Length);

    /// <summary>Adds the rows of further tokens, each <c>[n, keyValueHeads·d]</c>.</summary>
    internal void Append(Tensor keys, Tensor values)
    {
        using var scope = NewDisposeScope();
        var needed = Length + keys.shape[0];
        _keys = Grow(_keys, keys, needed);
        _values = Grow(_values, values, needed);
        _ = _keys.narrow(0, Length, keys.shape[0]).copy_(keys);
        _ = _values.narrow(0, Length, values.shape[0]).copy_(values);
        Length = needed;
    }

    public void Dispose()
    {
        _keys?.Dispose();
        _values?.Dispose();
    }

    private Tensor Grow(Tensor? store, Tensor rows, long needed)
    {
        if (store is not null && store.shape[0] >= needed)
        {
            return store;
        }

        var capacity = Math.Max(FirstCapacity, Math.Max(needed, 2 * Length));
        var larger = empty([capacity, rows.shape[1]], rows.dtype, rows.device).DetachFromDisposeScope();
        if (store is not null)
        {
            _ = larger.narrow(0, 0, Length).copy_(store.narrow(0, 0, Length));
            store.Dispose();
        }

        return larger;
    }
}
