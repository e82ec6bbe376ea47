using System.ComponentModel.DataAnnotations;

namespace SplitFrozen.ActivationCache;

/// <summary>The embedded cache server.</summary>
public sealed record EmbeddedCacheOptions
{
    /// <summary>Folder of the cache; made where it is missing. One process at a time uses it.</summary>
    [Required]
    public required string Directory { get; init; }

    /// <summary>
    /// Bytes that the entries may take, as <see cref="RedisActivationCache"/> is told too. The files are compacted when they
    /// exceed this by a quarter and shrink at the save after that, so leave half as much again free on the disk.
    /// </summary>
    [Range(1L << 20, long.MaxValue)]
    public long MaximumBytes { get; init; } = 8L << 30;

    /// <summary>Memory for the newest entries; older ones are read from the folder. The process takes some 150 MB beyond it.</summary>
    [Range(32L << 20, long.MaxValue)]
    public long MemoryBytes { get; init; } = 256L << 20;

    /// <summary>How often the state is saved; a process that is killed loses what came after the last save.</summary>
    public TimeSpan SaveInterval { get; init; } = TimeSpan.FromSeconds(60);
}
