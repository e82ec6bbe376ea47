using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Messages;

/// <summary>One sample as its device announces it: no content, only what planning and caching need.</summary>
/// <param name="Id">The sample.</param>
/// <param name="Length">Number of tokens, at least 1.</param>
/// <param name="Digest">Digest of tokens and labels; with the model and cut it is the cache key.</param>
public readonly record struct ManifestEntry(SampleId Id, int Length, ContentDigest Digest);

/// <summary>What a device can do; the cost model chooses its cut from it.</summary>
/// <param name="GigaflopsPerSecond">Measured forward rate.</param>
/// <param name="MemoryBytes">Memory that the device worker may use.</param>
/// <param name="UplinkBytesPerSecond">Measured or declared upload rate.</param>
public sealed record DeviceProfile(double GigaflopsPerSecond, long MemoryBytes, double UplinkBytesPerSecond);

/// <summary>A client announces itself and the samples that it holds for a run.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client, unique in the run.</param>
/// <param name="Instance">Names this start of the device worker: another one means that work handed out before is lost.</param>
/// <param name="ModelFingerprint">Fingerprint of the model on the device.</param>
/// <param name="Cut">Number of blocks that the device runs, <c>0 ≤ c ≤ F</c>.</param>
/// <param name="Manifest">Its samples, training and held-out ones alike.</param>
/// <param name="Profile">What the device can do; null where it was not measured.</param>
public sealed record ClientRegistered(
    string RunId, string ClientId, string Instance, string ModelFingerprint, int Cut, ManifestEntry[] Manifest, DeviceProfile? Profile) : IRunMessage;

/// <summary>
/// The coordinator listens. Device workers register (again) and the trainer announces itself (again) when they see it, so
/// that the services may start in any order and the coordinator may restart.
/// </summary>
public sealed record CoordinatorReady(string RunId) : IRunMessage;

/// <summary>The coordinator asks a client for the activations of some samples, in this order.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client.</param>
/// <param name="Sequence">Number of this assignment, greater than that of every earlier one of the client, also after the coordinator restarted.</param>
/// <param name="NeededAt">
/// The step message that first waits for one of the samples. A device worker that serves several clients does what is
/// needed first, first.
/// </param>
/// <param name="Samples">The samples.</param>
public sealed record WorkAssigned(string RunId, string ClientId, long Sequence, long NeededAt, SampleId[] Samples) : IRunMessage, IAddressedMessage
{
    /// <inheritdoc/>
    string IAddressedMessage.Address => ClientId;
}

/// <summary>
/// A device worker has published all messages of an assignment and they are confirmed. A sample of it that the
/// coordinator has still not taken in when the client's queue is empty was refused on the way and is asked again.
/// </summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client.</param>
/// <param name="Sequence">The assignment's number.</param>
public sealed record WorkFinished(string RunId, string ClientId, long Sequence) : IRunMessage;

/// <summary>A device worker reports what a piece of work cost, after its messages are confirmed.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client.</param>
/// <param name="Samples">Samples computed and published.</param>
/// <param name="Tokens">Tokens of those samples.</param>
/// <param name="ForwardFlops">Matrix and attention FLOPs of the frozen forward, by formula.</param>
/// <param name="BytesPublished">Message bytes sent.</param>
/// <param name="ComputeTime">Time spent in the forward.</param>
public sealed record DeviceProgress(
    string RunId, string ClientId, int Samples, long Tokens, long ForwardFlops, long BytesPublished, TimeSpan ComputeTime) : IRunMessage;
