using System.Globalization;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using SplitFrozen.Contracts.Api;
using StackExchange.Redis;

namespace SplitFrozen.ActivationCache;

/// <summary>
/// Files that a run leaves behind, such as its adapter, in a Redis-protocol server (Redis 7 or Garnet; only commands that both have). A
/// file is kept in chunks; its entry in the run's index is written after them and names their generation, so that a reader sees the old
/// file or the new one and never a mixture; the entry also holds its SHA-256, for whoever fetches the file. Thread-safe.
/// </summary>
public sealed partial class RedisArtifactStore(CacheConnection connection)
{
    /// <summary>Most bytes of one file.</summary>
    public const int MaximumBytes = 64 << 20;

    private const int ChunkBytes = 8 << 20;
    private const int FetchAttempts = 3;

    private readonly IDatabase _blobs = connection.Blobs.GetDatabase();
    private readonly IDatabase _state = connection.State.GetDatabase();

    /// <summary>True for 1 to 128 of the characters <c>A-Z a-z 0-9 . _ -</c>, not all of them dots.</summary>
    public static bool IsName(string name) => Name().IsMatch(name) && name.Trim('.').Length > 0;

    /// <summary>Stores a file; one of the same name is replaced.</summary>
    /// <exception cref="ArgumentException">The name has other characters.</exception>
    /// <exception cref="CacheException">The file is larger than <see cref="MaximumBytes"/>.</exception>
    public async Task StoreAsync(string runId, string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        if (!IsName(name))
        {
            throw new ArgumentException($"'{name}' cannot name an artifact: 1 to 128 letters, digits, '.', '_' or '-' can.", nameof(name));
        }

        if (bytes.Length > MaximumBytes)
        {
            throw new CacheException(
                $"Artifact '{name}' of run '{runId}' has {bytes.Length} bytes; at most {MaximumBytes} can be stored. Lower lora.rank or adapt fewer layers.");
        }

        var old = await EntryAsync(runId, name, cancellationToken).ConfigureAwait(false);
        var generation = await _state.StringIncrementAsync(Generations(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
        var entry = new Entry(bytes.Length, generation, Convert.ToHexStringLower(SHA256.HashData(bytes.Span)));
        for (var chunk = 0; chunk < entry.Chunks; chunk++)
        {
            var start = chunk * ChunkBytes;
            var part = bytes.Slice(start, Math.Min(ChunkBytes, bytes.Length - start));
            await _blobs.StringSetAsync(Chunk(runId, name, generation, chunk), part).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        await _state.HashSetAsync(Index(runId), name, entry.ToString()).WaitAsync(cancellationToken).ConfigureAwait(false);
        if (old is not null)
        {
            await DeleteChunksAsync(runId, name, old, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Reads a file; null where there is none of that name.</summary>
    /// <exception cref="CacheException">The server has lost part of it.</exception>
    public async Task<byte[]?> FetchAsync(string runId, string name, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < FetchAttempts; attempt++)
        {
            if (!IsName(name) || await EntryAsync(runId, name, cancellationToken).ConfigureAwait(false) is not { } entry)
            {
                return null;
            }

            if (await ReadAsync(runId, name, entry, cancellationToken).ConfigureAwait(false) is { } bytes)
            {
                return bytes;
            }
        }

        throw new CacheException($"Artifact '{name}' of run '{runId}' is incomplete: the server has lost part of it. Resume the run to export it again.");
    }

    /// <summary>The run's files, by name.</summary>
    public async Task<IReadOnlyList<RunArtifact>> ListAsync(string runId, CancellationToken cancellationToken)
    {
        var entries = await _state.HashGetAllAsync(Index(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);
        return [.. entries
            .Select(entry => (Name: entry.Name.ToString(), Entry: Entry.Parse(entry.Value.ToString())))
            .Select(file => new RunArtifact(file.Name, file.Entry.Bytes, file.Entry.Sha256))
            .OrderBy(file => file.Name, StringComparer.Ordinal)];
    }

    /// <summary>Deletes all files of a run.</summary>
    public async Task DeleteAsync(string runId, CancellationToken cancellationToken)
    {
        var entries = await _state.HashGetAllAsync(Index(runId)).WaitAsync(cancellationToken).ConfigureAwait(false);

        // The index goes last: a deletion that broke off is done again.
        foreach (var entry in entries)
        {
            await DeleteChunksAsync(runId, entry.Name.ToString(), Entry.Parse(entry.Value.ToString()), cancellationToken).ConfigureAwait(false);
        }

        await _state.KeyDeleteAsync([Index(runId), Generations(runId)]).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task<Entry?> EntryAsync(string runId, string name, CancellationToken cancellationToken)
    {
        var text = await _state.HashGetAsync(Index(runId), name).WaitAsync(cancellationToken).ConfigureAwait(false);
        return text.IsNull ? null : Entry.Parse(text.ToString());
    }

    /// <summary>Null when a chunk is gone: the file was replaced meanwhile.</summary>
    private async Task<byte[]?> ReadAsync(string runId, string name, Entry entry, CancellationToken cancellationToken)
    {
        var bytes = new byte[entry.Bytes];
        for (var chunk = 0; chunk < entry.Chunks; chunk++)
        {
            var part = (byte[]?)await _blobs.StringGetAsync(Chunk(runId, name, entry.Generation, chunk)).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (part is null || part.Length != Math.Min(ChunkBytes, bytes.Length - (chunk * ChunkBytes)))
            {
                return null;
            }

            part.CopyTo(bytes, chunk * ChunkBytes);
        }

        return bytes;
    }

    private async Task DeleteChunksAsync(string runId, string name, Entry entry, CancellationToken cancellationToken)
    {
        RedisKey[] keys = [.. Enumerable.Range(0, entry.Chunks).Select(chunk => Chunk(runId, name, entry.Generation, chunk))];
        await _blobs.KeyDeleteAsync(keys).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private static RedisKey Index(string runId) => $"run:{runId}:artifacts";

    private static RedisKey Generations(string runId) => $"run:{runId}:artifacts:generation";

    private static RedisKey Chunk(string runId, string name, long generation, int chunk) =>
        string.Create(CultureInfo.InvariantCulture, $"run:{runId}:artifact:{name}:{generation}:{chunk}");

    [GeneratedRegex(@"\A[A-Za-z0-9._-]{1,128}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name();

    private sealed record Entry(int Bytes, long Generation, string? Sha256)
    {
        public int Chunks => (Bytes + ChunkBytes - 1) / ChunkBytes;

        public static Entry Parse(string text)
        {
            // Entries of the first version have no hash.
            var fields = text.Split(' ');
            return new Entry(
                int.Parse(fields[0], CultureInfo.InvariantCulture), long.Parse(fields[1], CultureInfo.InvariantCulture), fields.Length > 2 ? fields[2] : null);
        }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Bytes} {Generation} {Sha256}");
    }
}
