using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;

namespace SplitFrozen.Training.FineTuning;

/// <summary>The model that a run spec asks for, in the terms of the engine.</summary>
public static class RunModel
{
    /// <summary>The adapters of a run.</summary>
    public static LoraConfig Lora(LoraSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return new LoraConfig(spec.Rank, spec.Alpha, spec.Dropout, spec.Targets, spec.RankStabilized);
    }

    /// <summary>The upper model of a run, for devices that all cut at the boundary.</summary>
    /// <param name="spec">The run.</param>
    /// <param name="classes">Classes of the task; 0 for language modelling.</param>
    public static UpperModelOptions Options(RunSpec spec, int classes)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return new UpperModelOptions
        {
            LowestCut = spec.Model.Boundary,
            Boundary = spec.Model.Boundary,
            Head = classes > 0 ? HeadKind.Classification : HeadKind.LanguageModel,
            Classes = classes,
            Lora = Lora(spec.Lora),
            Seed = Seed(spec),
        };
    }

    /// <summary>The seed of a run in the engine's terms: of initial values and of dropout.</summary>
    public static ulong Seed(RunSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return unchecked((ulong)spec.Seed);
    }
}
