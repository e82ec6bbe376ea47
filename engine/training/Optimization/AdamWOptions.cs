using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Training.Optimization;

/// <summary>Settings of <see cref="AdamW"/>; the defaults are torch.optim.AdamW's.</summary>
public sealed record AdamWOptions
{
    /// <summary>Decay of the first moment, in [0, 1).</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment, in [0, 1).</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Decoupled weight decay.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Decay only parameters of two or more dimensions, so no biases and norms (usual when pretraining).</summary>
    public bool DecayMatricesOnly { get; init; }

    /// <summary>The settings of a run.</summary>
    public static AdamWOptions From(TrainingSpec spec) => new()
    {
        Beta1 = spec.Beta1,
        Beta2 = spec.Beta2,
        Epsilon = spec.Epsilon,
        WeightDecay = spec.WeightDecay,
    };
}
