using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tasks;

namespace SplitFrozen.DeviceWorker;

/// <summary>One client that a device worker serves.</summary>
/// <param name="ClientId">The client, unique in the run.</param>
/// <param name="Cut">Blocks that it runs, <c>0 ≤ c ≤ F</c>.</param>
/// <param name="Samples">Its samples, training and held-out ones alike. They never leave the device.</param>
/// <param name="Profile">What the device can do; null where it was not measured.</param>
public sealed record DeviceClient(string ClientId, int Cut, IReadOnlyList<EncodedSample> Samples, DeviceProfile? Profile = null);

/// <summary>What a device worker does.</summary>
public sealed record DeviceWorkerOptions
{
    /// <summary>The run.</summary>
    public required string RunId { get; init; }

    /// <summary>The clients that this worker serves; at least one.</summary>
    public required IReadOnlyList<DeviceClient> Clients { get; init; }

    /// <summary>How hidden states travel.</summary>
    public required WireType WireType { get; init; }

    /// <summary>Samples per forward, at least 1.</summary>
    public int MicroBatch { get; init; } = 16;

    /// <summary>A message is closed before it grows beyond this many bytes, unless one sample alone does.</summary>
    public int MessageBytes { get; init; } = 1 << 20;

    /// <summary>Threads for tensor work.</summary>
    public int Threads { get; init; } = 1;
}
