using SplitFrozen.Models;

namespace SplitFrozen.Training.Pretraining;

/// <summary>Held-out windows, on which perplexity is measured: the exponential of the mean loss in nats per token.</summary>
internal sealed class HeldOutText
{
    private const int WindowsPerPass = 16;
    private readonly int _length;
    private readonly List<(int[] Tokens, int[] Targets)> _windows = [];

    public HeldOutText(IEnumerable<int[]> texts, int length)
    {
        _length = length;
        foreach (var text in texts)
        {
            for (var start = 0; start + length < text.Length; start += length)
            {
                _windows.Add((text[start..(start + length)], text[(start + 1)..(start + length + 1)]));
            }
        }
    }

    /// <summary>The perplexity; null where nothing was held out.</summary>
    public double? Perplexity(UpperModel model)
    {
        if (_windows.Count == 0)
        {
            return null;
        }

        var total = 0.0;
        foreach (var windows in _windows.Chunk(WindowsPerPass))
        {
            using var layout = new SequenceLayout([.. windows.Select(_ => _length)]);
            using var pass = model.ForwardTokens(
                [.. windows.SelectMany(window => window.Tokens)], layout, [.. windows.SelectMany(window => window.Targets)], training: false);
            total += pass.Loss * windows.Length;
        }

        return Math.Exp(total / _windows.Count);
    }
}
