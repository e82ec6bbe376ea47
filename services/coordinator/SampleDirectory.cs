using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>Where a sample's activations are.</summary>
public enum SampleState
{
    /// <summary>Not in the cache, not asked for.</summary>
    Missing,

    /// <summary>To be asked for as soon as its client has room.</summary>
    Wanted,

    /// <summary>Asked of its client, not yet taken in.</summary>
    Assigned,

    /// <summary>In the cache, as far as the coordinator knows.</summary>
    Cached,

    /// <summary>Never arrived; the run goes on without it. It stays so, whatever comes later.</summary>
    Failed,
}

/// <summary>One sample of the run.</summary>
public sealed class SampleEntry
{
    internal SampleEntry(ManifestEntry manifest, ClientEntry client, long bytes)
    {
        Id = manifest.Id;
        Length = manifest.Length;
        Digest = manifest.Digest;
        Client = client;
        Bytes = bytes;
    }

    /// <summary>The sample.</summary>
    public SampleId Id { get; }

    /// <summary>Number of tokens.</summary>
    public int Length { get; }

    /// <summary>Digest of tokens and labels.</summary>
    public ContentDigest Digest { get; }

    /// <summary>The client that holds it.</summary>
    public ClientEntry Client { get; }

    /// <summary>Estimated size of its cache entry.</summary>
    public long Bytes { get; }

    /// <summary>Where its activations are.</summary>
    public SampleState State { get; set; }

    /// <summary>How often it was asked for without an answer.</summary>
    public int Attempts { get; set; }

    /// <summary>The step message that waits for it, while it is wanted or assigned.</summary>
    internal long NeededAt { get; set; }

    /// <summary>The assignment of its client that asks for it, while it is assigned.</summary>
    internal long Assignment { get; set; }
}

/// <summary>One client of the run.</summary>
/// <param name="Id">The client.</param>
/// <param name="Cut">Blocks that it runs.</param>
/// <param name="Samples">Number of its samples.</param>
public sealed record ClientEntry(string Id, int Cut, int Samples);

/// <summary>All samples of a run by id: who holds each, under which key its activations lie, and their state. Not thread-safe.</summary>
/// <param name="fingerprint">Fingerprint of the base model.</param>
/// <param name="width">Hidden width <c>H</c>.</param>
/// <param name="wireType">How activations are kept.</param>
public sealed class SampleDirectory(string fingerprint, int width, WireType wireType)
{
    // Header, lengths, ids and labels of a one-sample entry.
    private const int EntryOverheadBytes = 640;

    private readonly Dictionary<SampleId, SampleEntry> _samples = [];
    private readonly Dictionary<string, ClientEntry> _clients = [];

    /// <summary>The samples.</summary>
    public IReadOnlyCollection<SampleEntry> Samples => _samples.Values;

    /// <summary>The clients.</summary>
    public IReadOnlyCollection<ClientEntry> Clients => _clients.Values;

    /// <summary>Adds a client and its samples; all or nothing.</summary>
    /// <returns>Null, or why the client is refused.</returns>
    public string? Add(string clientId, int cut, IReadOnlyList<ManifestEntry> manifest)
    {
        if (_clients.ContainsKey(clientId))
        {
            return $"client '{clientId}' is registered already";
        }

        var own = new HashSet<SampleId>(manifest.Count);
        foreach (var entry in manifest)
        {
            if (!own.Add(entry.Id))
            {
                return $"sample {entry.Id} is in its manifest twice";
            }

            if (_samples.TryGetValue(entry.Id, out var other))
            {
                return $"sample {entry.Id} is held by client '{other.Client.Id}' too";
            }
        }

        var client = new ClientEntry(clientId, cut, manifest.Count);
        _clients.Add(clientId, client);
        foreach (var entry in manifest)
        {
            _samples.Add(entry.Id, new SampleEntry(entry, client, EstimatedBytes(entry.Length)));
        }

        return null;
    }

    /// <summary>A sample of the run.</summary>
    /// <exception cref="KeyNotFoundException">No client holds it.</exception>
    public SampleEntry this[SampleId id] => _samples.TryGetValue(id, out var entry)
        ? entry
        : throw new KeyNotFoundException($"No client holds sample {id}.");

    /// <summary>A sample of the run, or false.</summary>
    public bool TryGet(SampleId id, out SampleEntry? entry) => _samples.TryGetValue(id, out entry);

    /// <summary>The cache key of a sample.</summary>
    public string Key(SampleEntry entry) => new ActivationKey(
        fingerprint, entry.Client.Cut, wireType, entry.Digest, ClientNames.IsOfSpec(entry.Client.Id) ? null : entry.Client.Id).ToString();

    /// <summary>A sample as a step message names it.</summary>
    public SampleReference Reference(SampleEntry entry) => new(entry.Id, entry.Client.Id, entry.Client.Cut, Key(entry));

    /// <summary>A client of the run, or null.</summary>
    public ClientEntry? Client(string clientId) => _clients.GetValueOrDefault(clientId);

    /// <summary>True when none of the samples is waited for: each is in the cache, or has failed.</summary>
    public bool AllSettled(ReadOnlySpan<SampleId> samples)
    {
        foreach (var id in samples)
        {
            if (_samples[id].State is not (SampleState.Cached or SampleState.Failed))
            {
                return false;
            }
        }

        return true;
    }

    private long EstimatedBytes(int length) => (length * wireType.BytesPerToken(width)) + EntryOverheadBytes;
}
