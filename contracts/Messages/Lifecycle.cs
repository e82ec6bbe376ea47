using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Contracts.Messages;

/// <summary>What the coordinator must know of a run's model and task; the trainer, which opens them, tells it.</summary>
/// <param name="ModelFingerprint">Fingerprint of config and weights.</param>
/// <param name="Width">Hidden width <c>H</c>.</param>
/// <param name="LabelsPerToken">True for language modelling.</param>
/// <param name="LabelBound">Exclusive upper bound of a label: the number of classes, or the vocabulary size.</param>
/// <param name="ClassNames">Names of the classes; empty for language modelling.</param>
/// <param name="BlockGigaflopsPerToken">Forward work of one block for one token, in GFLOP, attention left out; the cost model of cuts needs it.</param>
/// <param name="BlockBytes">Weight bytes of one block as a device holds it.</param>
/// <param name="EmbeddingBytes">Weight bytes of the embeddings as a device holds them.</param>
public sealed record RunFacts(
    string ModelFingerprint, int Width, bool LabelsPerToken, int LabelBound, string[] ClassNames,
    double BlockGigaflopsPerToken, long BlockBytes, long EmbeddingBytes);

/// <summary>The active coordinator looks for a trainer; sent again every few seconds until one has answered by <see cref="RunPrepared"/>.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Spec">Its resolved spec.</param>
public sealed record RunOffered(string RunId, RunSpec Spec) : IRunMessage;

/// <summary>A trainer holds the run's lease and has opened model and task.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Trainer">The trainer process.</param>
/// <param name="Facts">What it found.</param>
public sealed record RunPrepared(string RunId, string Trainer, RunFacts Facts) : IRunMessage;

/// <summary>One client that a device worker is to serve.</summary>
/// <param name="ClientId"><c>client-1</c> to <c>client-n</c>, the device's own name, or <c>evaluation</c>, which holds the held-out split.</param>
/// <param name="Cut">Blocks that it runs.</param>
public sealed record ClientShare(string ClientId, int Cut);

/// <summary>
/// The coordinator deals clients of a run to a device worker: simulated ones, or that of the worker's own data. The list is complete: it replaces the one before, and the
/// same list again changes nothing while the worker serves it. A worker that was stopped starts to serve again.
/// </summary>
/// <param name="RunId">The run.</param>
/// <param name="Device">The device worker's name.</param>
/// <param name="Spec">The run's resolved spec: the worker opens model and data by it; rows of simulated clients follow from the seeded partition.</param>
/// <param name="Clients">Its clients; empty takes all away.</param>
public sealed record ClientsAssigned(string RunId, string Device, RunSpec Spec, ClientShare[] Clients) : IRunMessage, IAddressedMessage
{
    /// <inheritdoc/>
    string IAddressedMessage.Address => Device;
}

/// <summary>A device worker is there; sent at its start and every two seconds. Its lease ends when it is not heard of for a while.</summary>
/// <param name="Device">Its name, stable over restarts.</param>
/// <param name="Instance">Names this start of it.</param>
/// <param name="Profile">What it can do.</param>
/// <param name="Leaving">True when it drains and will not come back: its clients are dealt anew at once.</param>
/// <param name="HasOwnData">
/// True when it holds training data of its own: it is a client by its own name where a run asks for such, and is dealt nothing else. What data
/// that is, it does not say.
/// </param>
public sealed record DeviceAlive(string Device, string Instance, DeviceProfile Profile, bool Leaving, bool HasOwnData = false);

/// <summary>Stop working on the run, with a checkpoint: it was cancelled, or has ended in another way.</summary>
public sealed record RunCancelled(string RunId) : IRunMessage;

/// <summary>The adapter of a finished run lies in the artifact store: the run is done.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Artifacts">Names of the files.</param>
public sealed record AdapterExported(string RunId, string[] Artifacts) : IRunMessage;
