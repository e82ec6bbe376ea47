namespace SplitFrozen.ActivationCache;

/// <summary>One sample's activations for the cache.</summary>
/// <param name="Key">Text form of its <see cref="Contracts.Wire.ActivationKey"/>.</param>
/// <param name="Bytes">The encoded activation batch of that sample.</param>
public readonly record struct CacheEntry(string Key, ReadOnlyMemory<byte> Bytes);

/// <summary>
/// Activations by content key, one entry per sample: an encoded activation batch of that one sample, without run and
/// client. Bounded in bytes; an entry may be evicted at any time, and its device is then asked again.
/// </summary>
public interface IActivationCache
{
    /// <summary>Most bytes of all entries; what is computed ahead must fit in, or it is evicted before it is used.</summary>
    long MaximumBytes { get; }

    /// <summary>
    /// Stores entries, all of one message at once; storing the same key again is harmless, and repairs an entry that was damaged. Their bytes
    /// stay untouched until the task completes.
    /// </summary>
    Task StoreAsync(IReadOnlyList<CacheEntry> entries, CancellationToken cancellationToken);

    /// <summary>Reads entries in the order of <paramref name="keys"/>; null where a key is not there.</summary>
    Task<byte[]?[]> FetchAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken);

    /// <summary>Tells for each key whether it is there, without reading it.</summary>
    Task<bool[]> ContainsAsync(IReadOnlyList<string> keys, CancellationToken cancellationToken);
}

/// <summary>
/// The coordinator's durable account of a run: over which clients it is planned, which samples are in the cache, which have failed,
/// which step was composed of what. With it a restarted coordinator goes on, and a sample is trained exactly once per epoch.
/// </summary>
public interface IRunLedger
{
    /// <summary>Records the clients that the run is planned over, each with its registration; from then on they are fixed.</summary>
    Task RecordClientsAsync(string runId, IReadOnlyDictionary<string, byte[]> registrations, CancellationToken cancellationToken);

    /// <summary>The clients that the run is planned over, with their registrations; none before it is planned.</summary>
    Task<IReadOnlyDictionary<string, byte[]>> ClientsAsync(string runId, CancellationToken cancellationToken);

    /// <summary>Records samples that the run goes on without.</summary>
    Task RecordFailedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken);

    /// <summary>The samples that the run goes on without.</summary>
    Task<IReadOnlySet<long>> FailedAsync(string runId, CancellationToken cancellationToken);

    /// <summary>Records samples as cached; returns how many were new (a repeated delivery records none).</summary>
    Task<int> RecordIngestedAsync(string runId, IReadOnlyCollection<long> sampleIds, CancellationToken cancellationToken);

    /// <summary>The samples recorded so far.</summary>
    Task<IReadOnlySet<long>> IngestedAsync(string runId, CancellationToken cancellationToken);

    /// <summary>Records the composition of a step, before it is published. Recording the same sequence again must not change it.</summary>
    Task RecordStepAsync(string runId, long sequence, byte[] stepMessage, CancellationToken cancellationToken);

    /// <summary>Composed steps from a sequence on, in order.</summary>
    Task<IReadOnlyList<byte[]>> StepsFromAsync(string runId, long sequence, CancellationToken cancellationToken);

    /// <summary>Forgets the composed steps from a sequence on.</summary>
    Task ForgetStepsAsync(string runId, long sequence, CancellationToken cancellationToken);

    /// <summary>Forgets a run.</summary>
    Task DeleteAsync(string runId, CancellationToken cancellationToken);
}
