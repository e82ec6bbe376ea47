using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>Makes the options of a run's coordinator from its spec and from what the trainer found.</summary>
internal static class RunOptions
{
    /// <summary>Bits of an assignment's number below those of the start that made it.</summary>
    private const int AssignmentBits = 32;

    /// <summary>The options of start number <paramref name="start"/> over these clients.</summary>
    public static CoordinatorOptions From(StoredRun run, RunFacts facts, IReadOnlyList<string> clients, long start, RunServices services) => new()
    {
        RunId = run.RunId,
        Clients = clients,
        ModelFingerprint = facts.ModelFingerprint,
        Boundary = run.Spec.Model.Boundary,
        Width = facts.Width,
        WireType = run.Spec.Device.WireType,
        LabelsPerToken = facts.LabelsPerToken,
        LabelBound = facts.LabelBound,
        MaximumLength = run.Spec.Task.MaxLength,
        Seed = unchecked((ulong)run.Spec.Seed),
        Epochs = run.Spec.Training.Epochs,
        BatchSize = run.Spec.Training.BatchSize,
        Order = run.Spec.Training.Order == "available" ? StepOrder.Available : StepOrder.Planned,
        WorkAheadBytes = Math.Min(run.Spec.Cache.MaxBytes, services.Cache.MaximumBytes) / 2,
        FirstAssignment = start << AssignmentBits,
        ClientDeadline = services.Options.ClientDeadline,
        CompleteWithoutMissing = run.Spec.Clients.Missing == "complete",

        // A broker that restarts keeps messages back for half a minute: asking again is cheap, a run that failed is not.
        RepeatAfter = TimeSpan.FromSeconds(5),
        MaximumAttempts = 12,
    };
}
