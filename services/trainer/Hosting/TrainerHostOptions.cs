using System.ComponentModel.DataAnnotations;

namespace SplitFrozen.Trainer.Hosting;

/// <summary>Settings of a trainer process, from the configuration section <c>Trainer</c> (environment: <c>Trainer__Folder</c>, …).</summary>
public sealed record TrainerHostOptions
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "Trainer";

    /// <summary>Name of this process in leases and logs; unique among trainers.</summary>
    [Required]
    public string Name { get; init; } = Environment.MachineName;

    /// <summary>
    /// Folder of the runs: checkpoints, step log and adapter of each. All trainers see the same one; the file system must know
    /// locks (any local one, NFS 4).
    /// </summary>
    [Required]
    public string Folder { get; init; } = "runs";

    /// <summary>How long a trainer that is not heard of keeps a run from others.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00")]
    public TimeSpan LeaseTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Most bytes of activations fetched and decoded ahead.</summary>
    [Range(1 << 20, long.MaxValue)]
    public long PrefetchBytes { get; init; } = 256L << 20;
}
