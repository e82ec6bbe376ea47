namespace SplitFrozen.Models;

/// <summary>
/// Low-rank adaptation of linear layers (Hu et al., 2021), with the meaning that PEFT gives the fields:
/// <c>y = x Wᵀ + b + scale · dropout(x) Aᵀ Bᵀ</c>, A <c>[rank, in]</c>, B <c>[out, rank]</c>.
/// </summary>
/// <param name="Rank">Rank r of the adapters, at least 1.</param>
/// <param name="Alpha">Numerator of the scale.</param>
/// <param name="Dropout">Probability with which an input element of the adapter branch is dropped in training, in [0, 1).</param>
/// <param name="Targets">Names of the adapted linear layers, for example <c>c_attn</c> or <c>q_proj</c>.</param>
/// <param name="RankStabilized">Whether the scale is <c>alpha / √r</c> (rsLoRA, Kalajdzievski, 2023) and not <c>alpha / r</c>.</param>
public sealed record LoraConfig(int Rank, double Alpha, double Dropout, IReadOnlyList<string> Targets, bool RankStabilized)
{
    /// <summary>Factor of the adapter branch.</summary>
    public double Scale => Alpha / (RankStabilized ? Math.Sqrt(Rank) : Rank);

    /// <summary>Whether a linear layer is adapted: a target is its whole canonical path, such as <c>h.0.attn.c_attn</c>, or the last parts of it.</summary>
    public bool Adapts(string layerPath)
    {
        ArgumentNullException.ThrowIfNull(layerPath);
        return Targets.Any(target => IsTarget(layerPath, target));
    }

    /// <summary>Whether a target of PEFT names the layer.</summary>
    internal static bool IsTarget(string layerPath, string target) =>
        layerPath == target || layerPath.EndsWith("." + target, StringComparison.Ordinal);
}
