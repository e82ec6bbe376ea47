using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.Training.Pretraining;

/// <summary>
/// Deals training windows of T tokens and their T next tokens. Which input a window comes from is drawn by weight; within an
/// input every window comes once per round, in an order and from an offset drawn anew each round. The sequence of windows is
/// fixed by the seed, so a resumed run skips what was used.
/// </summary>
internal sealed class WindowSampler
{
    private readonly int _length;
    private readonly ulong _seed;
    private readonly Input[] _inputs;
    private readonly double _totalWeight;
    private readonly SeededRandom _mix;

    public WindowSampler(IReadOnlyList<(int[] Tokens, double Weight)> inputs, int length, ulong seed)
    {
        _length = length;
        _seed = seed;
        _inputs = [.. inputs.Select(input => new Input(input.Tokens, input.Weight))];
        _totalWeight = inputs.Sum(input => input.Weight);
        _mix = SeededRandom.ForStream(seed, "mix");
    }

    /// <summary>Whether an input has enough tokens for one window of any offset.</summary>
    public static bool IsLongEnough(int[] tokens, int length) => tokens.Length >= (2 * length) + 1;

    /// <summary>Writes the next window's tokens and targets, each of T entries.</summary>
    public void Next(Span<int> tokens, Span<int> targets)
    {
        var (input, start) = Draw();
        input.Tokens.AsSpan(start, _length).CopyTo(tokens);
        input.Tokens.AsSpan(start + 1, _length).CopyTo(targets);
    }

    /// <summary>Passes over windows that were used before a checkpoint.</summary>
    public void Skip(long windows)
    {
        for (var i = 0L; i < windows; i++)
        {
            _ = Draw();
        }
    }

    private (Input Input, int Start) Draw()
    {
        var index = Choose();
        var input = _inputs[index];
        if (input.Next == input.Starts.Length)
        {
            BeginRound(input, index);
        }

        return (input, input.Starts[input.Next++]);
    }

    private int Choose()
    {
        var remaining = _mix.NextDouble() * _totalWeight;
        for (var i = 0; i < _inputs.Length - 1; i++)
        {
            remaining -= _inputs[i].Weight;
            if (remaining < 0)
            {
                return i;
            }
        }

        return _inputs.Length - 1;
    }

    private void BeginRound(Input input, int index)
    {
        var random = SeededRandom.ForStream(_seed, "windows", (ulong)index, (ulong)input.Round);
        var offset = random.NextInt32(_length);
        input.Starts = new int[(input.Tokens.Length - 1 - offset) / _length];
        for (var i = 0; i < input.Starts.Length; i++)
        {
            input.Starts[i] = offset + (i * _length);
        }

        random.Shuffle<int>(input.Starts);
        input.Next = 0;
        input.Round++;
    }

    private sealed class Input(int[] tokens, double weight)
    {
        public int[] Tokens => tokens;

        public double Weight => weight;

        public int[] Starts { get; set; } = [];

        public int Next { get; set; }

        public int Round { get; set; }
    }
}
