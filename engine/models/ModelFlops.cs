namespace SplitFrozen.Models;

/// <summary>Counts of useful floating-point operations: matrix products and causal attention, nothing else.</summary>
public static class ModelFlops
{
    /// <summary>Weights of one block's linear layers.</summary>
    public static long LinearWeights(TransformerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        long width = config.Width, queries = (long)config.Heads * config.HeadWidth, keys = (long)config.KeyValueHeads * config.HeadWidth;
        var feedForward = (config.Family == ModelFamily.Gpt2 ? 2 : 3) * width * config.InnerWidth;
        return (width * (queries + (2 * keys))) + (queries * width) + feedForward;
    }

    /// <summary>Two per linear weight and token of one block's forward pass.</summary>
    public static long LinearForward(TransformerConfig config, IEnumerable<int> lengths)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        return 2 * LinearWeights(config) * lengths.Sum(length => (long)length);
    }

    /// <summary>Four per query-head element and pair (query, earlier or same key) of one block's forward pass.</summary>
    public static long AttentionForward(TransformerConfig config, IEnumerable<int> lengths)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(lengths);
        return 4L * config.Heads * config.HeadWidth * lengths.Sum(length => (long)length * (length + 1) / 2);
    }

    /// <summary>One block's forward pass.</summary>
    public static long BlockForward(TransformerConfig config, IEnumerable<int> lengths)
    {
        var all = lengths as IReadOnlyList<int> ?? [.. lengths];
        return LinearForward(config, all) + AttentionForward(config, all);
    }
}
