using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Cli.Reporting;

/// <summary>What a report says about a run besides its events.</summary>
/// <param name="Spec">The resolved spec.</param>
/// <param name="Command">The exact command.</param>
/// <param name="Folder">The run folder.</param>
/// <param name="Metric">Headline metric.</param>
/// <param name="Blocks">Blocks of the model.</param>
/// <param name="ModelFingerprint">Fingerprint of the base model.</param>
/// <param name="TrainableParameters">Trained numbers: adapter and head.</param>
/// <param name="TrainSamples">Training samples.</param>
/// <param name="EvaluationSamples">Held-out samples.</param>
/// <param name="LeftOut">Samples left out because they are too long.</param>
/// <param name="MajorityShare">Share of the commonest class in the held-out split, what a constant answer reaches; null for language modelling.</param>
internal sealed record RunFacts(
    RunSpec Spec, string Command, string Folder, string Metric, int Blocks, string ModelFingerprint, long TrainableParameters,
    int TrainSamples, int EvaluationSamples, int LeftOut, double? MajorityShare);
