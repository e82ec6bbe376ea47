using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Comparison.Methods;

/// <summary>Settings of <see cref="SplitLora"/>.</summary>
public sealed record SplitLoraOptions
{
    /// <summary>Server steps between two averagings of the clients' adapters, at least 1; the reference implementation takes 100.</summary>
    public int AveragingInterval { get; init; } = 100;

    /// <summary>How activations go up.</summary>
    public WireType ActivationType { get; init; } = WireType.Float32;

    /// <summary>How gradients come down.</summary>
    public WireType GradientType { get; init; } = WireType.Float32;

    /// <summary>
    /// The wire of a run in both directions: gradients travel in as many bytes as activations, but never as f16 or int8, in which
    /// small gradients become zero; bf16 has the range of f32.
    /// </summary>
    public static SplitLoraOptions For(WireType wireType, int averagingInterval) => new()
    {
        AveragingInterval = averagingInterval,
        ActivationType = wireType,
        GradientType = wireType == WireType.Float32 ? WireType.Float32 : WireType.BFloat16,
    };
}
