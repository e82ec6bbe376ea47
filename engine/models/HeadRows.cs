using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>Which rows the head looks at, and what it should predict for them.</summary>
internal static class HeadRows
{
    /// <summary>Label of a position that does not count.</summary>
    internal const int Ignored = -100;

    /// <summary>Rows i64 <c>[n]</c>, or null where all count, and their targets <c>[n]</c>. The caller owns the rows.</summary>
    /// <exception cref="ArgumentException">The number of labels does not fit the layout, or one is out of range.</exception>
    internal static (Tensor? Rows, int[] Targets) Choose(UpperModelOptions options, TransformerConfig config, SequenceLayout layout, int[] labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        var perToken = options.Head == HeadKind.LanguageModel;
        var expected = perToken ? layout.Tokens : layout.Sequences;
        if (labels.Length != expected)
        {
            throw new ArgumentException($"There are {labels.Length} labels; the layout asks for {expected}, one per {(perToken ? "token" : "sequence")}.", nameof(labels));
        }

        var classes = perToken ? config.VocabularySize : options.Classes;
        var wrong = Array.FindIndex(labels, label => (label < 0 || label >= classes) && !(perToken && label == Ignored));
        if (wrong >= 0)
        {
            throw new ArgumentException($"Label {labels[wrong]} of {(perToken ? "token" : "sequence")} {wrong} is outside 0..{classes - 1}.", nameof(labels));
        }

        if (!perToken)
        {
            return (layout.LastRows.alias(), labels);
        }

        var counted = new List<long>(labels.Length);
        for (var t = 0; t < labels.Length; t++)
        {
            if (labels[t] != Ignored)
            {
                counted.Add(t);
            }
        }

        return counted.Count == labels.Length
            ? (null, labels)
            : (tensor(counted.ToArray()), [.. counted.Select(row => labels[row])]);
    }
}
