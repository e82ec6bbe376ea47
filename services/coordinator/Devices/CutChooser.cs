using System.Globalization;
using SplitFrozen.Contracts.Cuts;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator.Devices;

/// <summary>A cut, and in one sentence why.</summary>
public readonly record struct CutChoice(int Cut, string Reason);

/// <summary>
/// The cost model of cuts. A client cuts at the boundary unless the spec says otherwise or its device has not the memory: equal cuts give
/// equal cache keys, so that a later run finds what an earlier one computed. A device that serves several clients loads the model once.
/// Memory and time of a cut are those of <see cref="CutCost"/>.
/// </summary>
public static class CutChooser
{
    /// <summary>Chooses the cut of a client.</summary>
    /// <param name="spec">The run's spec.</param>
    /// <param name="facts">Sizes and work of the model's parts.</param>
    /// <param name="client">Number of the client from 0; null for the one that holds the held-out split.</param>
    /// <param name="profile">What its device can do.</param>
    public static CutChoice Choose(RunSpec spec, RunFacts facts, int? client, DeviceProfile profile)
    {
        if (client is { } number && spec.Clients.Cuts.Count > 0)
        {
            return new CutChoice(spec.Clients.Cuts[number % spec.Clients.Cuts.Count], "The run spec names this cut (clients.cuts).");
        }

        var boundary = spec.Model.Boundary;
        if (profile.MemoryBytes < facts.EmbeddingBytes)
        {
            return new CutChoice(0, $"Memory binds: not even the embeddings ({Size(facts.EmbeddingBytes)}) fit in the {Size(profile.MemoryBytes)} of the device.");
        }

        var cost = new CutCost(facts.EmbeddingBytes, facts.BlockBytes, facts.BlockGigaflopsPerToken, spec.Device.WireType.BytesPerToken(facts.Width));
        var fitting = cost.DeepestFitting(profile.MemoryBytes, boundary);
        return fitting < boundary
            ? new CutChoice(
                fitting,
                $"Memory binds: {boundary} blocks up to the boundary need {Size(cost.MemoryBytes(boundary))}, and {fitting} are what fits in the {Size(profile.MemoryBytes)} of the device.")
            : new CutChoice(boundary, AtBoundary(cost, boundary, profile));
    }

    private static string AtBoundary(CutCost cost, int boundary, DeviceProfile profile)
    {
        var (compute, send) = (cost.ComputeSecondsPerToken(profile, boundary), cost.SendSecondsPerToken(profile));
        var (binding, more, other, less) = compute >= send ? ("computing", compute, "sending", send) : ("sending", send, "computing", compute);
        return $"The boundary fits in the device's memory; {binding} binds, with {Microseconds(more)} for a token against {Microseconds(less)} for {other}.";
    }

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 20):0.#} MiB");

    private static string Microseconds(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e6:0.##} µs");
}
