using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// How sequences of different lengths lie in packed rows <c>[ΣT, H]</c>: one after another, without padding. The index
/// tensors that attention and position embeddings need are made on first use and live until <see cref="Dispose"/>.
/// Not thread-safe.
/// </summary>
public sealed class SequenceLayout : IDisposable
{
    private Tensor? _positions;
    private Tensor? _lastRows;
    private Tensor? _paddedToPacked;
    private Tensor? _packedToPadded;

    /// <summary>Lays out sequences of the given lengths.</summary>
    /// <exception cref="ArgumentException">There is no sequence, or one is empty.</exception>
    public SequenceLayout(int[] lengths)
        : this(lengths, firstPosition: 0)
    {
    }

    /// <summary>Lays out pieces of sequences that all begin at the same position instead of 0: for continuing a text, or for tokens that stand alone.</summary>
    /// <exception cref="ArgumentException">There is no sequence, or one is empty.</exception>
    public SequenceLayout(int[] lengths, int firstPosition)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        ArgumentOutOfRangeException.ThrowIfNegative(firstPosition);
        if (lengths.Length == 0 || Array.Exists(lengths, length => length < 1))
        {
            throw new ArgumentException("A layout needs at least one sequence, each of at least one token.", nameof(lengths));
        }

        Lengths = lengths;
        FirstPosition = firstPosition;
        Tokens = lengths.Sum();
        MaximumLength = lengths.Max();
        IsUniform = Array.TrueForAll(lengths, length => length == lengths[0]);
    }

    /// <summary>Tokens of every sequence.</summary>
    public int[] Lengths { get; }

    /// <summary>Number of sequences, B.</summary>
    public int Sequences => Lengths.Length;

    /// <summary>Number of rows, ΣT.</summary>
    public int Tokens { get; }

    /// <summary>Length of the longest sequence.</summary>
    public int MaximumLength { get; }

    /// <summary>Whether all sequences are equally long, so that rows can be seen as <c>[B, T, H]</c> without copying.</summary>
    public bool IsUniform { get; }

    /// <summary>Position of the first row of every sequence; 0 but where a text is continued.</summary>
    internal int FirstPosition { get; }

    /// <summary>Position of every row within its sequence, i64 <c>[ΣT]</c>.</summary>
    internal Tensor Positions => _positions ??= Make(() => Fill(Tokens, (span, sequence, start, length) =>
    {
        for (var t = 0; t < length; t++)
        {
            span[start + t] = FirstPosition + t;
        }
    }));

    /// <summary>Row of the last token of every sequence, i64 <c>[B]</c>.</summary>
    internal Tensor LastRows => _lastRows ??= Make(() => Fill(Sequences, (span, sequence, start, length) => span[sequence] = start + length - 1));

    /// <summary>Packed row for every padded place <c>[B·Tmax]</c>, i64; places beyond a sequence's end name its first row.</summary>
    internal Tensor PackedToPadded => _packedToPadded ??= Make(() => Fill(checked(Sequences * MaximumLength), (span, sequence, start, length) =>
    {
        for (var t = 0; t < MaximumLength; t++)
        {
            span[(sequence * MaximumLength) + t] = start + (t < length ? t : 0);
        }
    }));

    /// <summary>Padded place of every packed row, i64 <c>[ΣT]</c>.</summary>
    internal Tensor PaddedToPacked => _paddedToPacked ??= Make(() => Fill(Tokens, (span, sequence, start, length) =>
    {
        for (var t = 0; t < length; t++)
        {
            span[start + t] = ((long)sequence * MaximumLength) + t;
        }
    }));

    /// <inheritdoc/>
    public void Dispose()
    {
        _positions?.Dispose();
        _lastRows?.Dispose();
        _paddedToPacked?.Dispose();
        _packedToPadded?.Dispose();
    }

    private static Tensor Make(Func<long[]> fill) => tensor(fill()).DetachFromDisposeScope();

    private long[] Fill(int count, Action<long[], int, int, int> place)
    {
        var values = new long[count];
        var start = 0;
        for (var sequence = 0; sequence < Lengths.Length; sequence++)
        {
            place(values, sequence, start, Lengths[sequence]);
            start += Lengths[sequence];
        }

        return values;
    }
}
