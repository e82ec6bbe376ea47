using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.ActivationCache;

/// <summary>A run as the store has it.</summary>
/// <param name="RunId">Its id.</param>
/// <param name="Spec">Its resolved spec.</param>
/// <param name="Status">Where it stands.</param>
/// <param name="Created">When it was submitted.</param>
/// <param name="Started">When it was submitted or last resumed.</param>
/// <param name="Step">Optimiser steps applied.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run; 0 before it is planned.</param>
/// <param name="FailedSamples">Samples that it goes on without.</param>
/// <param name="Reason">Why it failed; else null.</param>
/// <param name="Facts">What the trainer found; null before one has opened model and task.</param>
/// <param name="Clients">Its clients with their devices; empty before they are dealt.</param>
/// <param name="IsOpen">True until its end has been carried out and recorded as an event.</param>
public sealed record StoredRun(
    string RunId, RunSpec Spec, RunStatus Status, DateTimeOffset Created, DateTimeOffset Started, int Step, int TotalSteps,
    int FailedSamples, string? Reason, RunFacts? Facts, IReadOnlyList<RunClient> Clients, bool IsOpen)
{
    /// <summary>True while there is work to do.</summary>
    public bool IsActive => Status is RunStatus.Pending or RunStatus.Running;

    /// <summary>The run in a list.</summary>
    public RunSummary Summary => new(RunId, Spec.Name, Status, Created, Step, TotalSteps, FailedSamples, Reason);
}

/// <summary>Some events of a run.</summary>
/// <param name="First">Number of the first one; greater than what was asked for where older ones have left.</param>
/// <param name="Lines">Consecutive events, each a line of JSON.</param>
public sealed record StoredEvents(long First, IReadOnlyList<string> Lines);
