namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>One impossible value of a run spec.</summary>
/// <param name="Path">YAML path, for example <c>training.learning_rate</c> or <c>clients.cuts[2]</c>, counted from 0.</param>
/// <param name="Found">The value found, as text.</param>
/// <param name="Expected">What values are possible.</param>
/// <param name="Action">What to do, where <paramref name="Expected"/> does not say it already; else empty.</param>
public sealed record RunSpecFault(string Path, string Found, string Expected, string Action)
{
    /// <summary>The fault without its path, for callers that show the path in their own way.</summary>
    public string Message => Action.Length == 0 ? $"found {Found}; expected {Expected}" : $"found {Found}; expected {Expected}; {Action}";

    /// <inheritdoc/>
    public override string ToString() => $"{Path}: {Message}";
}

/// <summary>What a run spec is checked against once the base model is known.</summary>
/// <param name="Layers">Number of blocks L.</param>
/// <param name="Positions">Longest sequence in tokens.</param>
/// <param name="LinearLayers">
/// Paths of a block's linear layers within the block, for example <c>attn.c_attn</c>. A LoRA target names the whole path or its last parts.
/// </param>
public sealed record ModelLimits(int Layers, int Positions, IReadOnlyCollection<string> LinearLayers);
