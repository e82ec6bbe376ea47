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
}
