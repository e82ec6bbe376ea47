using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Contracts.Messages;

/// <summary>
/// The trainer that holds a run's lease is one stage of several and looks for the others; sent again every second until all have answered by
/// <see cref="StageJoined"/>.
/// </summary>
/// <param name="RunId">The run.</param>
/// <param name="Session">Names this attempt; after a failure a new one begins at the last checkpoint.</param>
/// <param name="Spec">The run's resolved spec.</param>
/// <param name="ModelFingerprint">The base model that every stage must have.</param>
/// <param name="Boundaries">First block of every stage and the end of the last.</param>
/// <param name="Replicas">Copies of the stages.</param>
public sealed record StagesOffered(string RunId, string Session, RunSpec Spec, string ModelFingerprint, int[] Boundaries, int Replicas) : IRunMessage;

/// <summary>A trainer has taken a stage of a session and loaded its blocks.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Session">The session.</param>
/// <param name="Member">Which replica and stage.</param>
/// <param name="Trainer">The trainer process.</param>
/// <param name="Fault">Why it cannot be that stage, for a person to mend; null when it can.</param>
public sealed record StageJoined(string RunId, string Session, string Member, string Trainer, string? Fault) : IRunMessage;
