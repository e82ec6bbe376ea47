using System.Globalization;

namespace SplitFrozen.Models.Weights;

/// <summary>Names of tensors in Hugging Face files.</summary>
internal static class TensorNaming
{
    /// <summary>The prefix that a family's files may have and that adapters and full models do have.</summary>
    internal static string Prefix(ModelFamily family) => family == ModelFamily.Gpt2 ? "transformer." : "model.";

    /// <summary>The name without the family's prefix; null for a buffer that is no weight.</summary>
    internal static string? Canonical(ModelFamily family, string name)
    {
        var prefix = Prefix(family);
        var canonical = name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : name;
        var isBuffer = canonical.EndsWith(".attn.bias", StringComparison.Ordinal)
            || canonical.EndsWith(".attn.masked_bias", StringComparison.Ordinal)
            || canonical.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal);
        return isBuffer ? null : canonical;
    }

    /// <summary>What of a configuration changes the numbers that a model computes, as text.</summary>
    internal static string Essentials(TransformerConfig config) => string.Join(
        ' ',
        new object?[]
        {
            config.Family, config.Layers, config.Width, config.Heads, config.KeyValueHeads, config.HeadWidth, config.InnerWidth,
            config.VocabularySize, config.MaximumPositions, config.NormEpsilon, config.TieWordEmbeddings, config.Rope?.Theta,
            config.Rope?.Scaling?.Factor, config.Rope?.Scaling?.LowFrequencyFactor, config.Rope?.Scaling?.HighFrequencyFactor,
            config.Rope?.Scaling?.OriginalPositions,
        }.Select(value => Convert.ToString(value, CultureInfo.InvariantCulture)));
}
