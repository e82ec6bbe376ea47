using System.ComponentModel.DataAnnotations;
using SplitFrozen.Trainer.Stages;

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

    /// <summary>
    /// Which stage of how many this trainer is, such as <c>2/3</c>: together they hold the trained blocks of a run. The first takes runs up and leads; every
    /// stage of a run must be there. <c>1/1</c> holds all by itself.
    /// </summary>
    [RegularExpression(Place, ErrorMessage = "Trainer__Stage (--stage) is a place of how many, such as 2/3.")]
    public string Stage { get; init; } = "1/1";

    /// <summary>Which copy of the stages this trainer belongs to, such as <c>1/2</c>; the first copy's first stage leads.</summary>
    [RegularExpression(Place, ErrorMessage = "Trainer__Replica (--replica) is a place of how many, such as 1/2.")]
    public string Replica { get; init; } = "1/1";

    /// <summary><see cref="Stage"/> and <see cref="Replica"/> as numbers.</summary>
    internal StageRole Role => StageRole.Parse(Stage, Replica);

    /// <summary>Short forms of the command line: <c>--stage 2/3</c>, <c>--replica 1/2</c>.</summary>
    public static IDictionary<string, string> Switches { get; } =
        new Dictionary<string, string> { ["--stage"] = $"{Section}:{nameof(Stage)}", ["--replica"] = $"{Section}:{nameof(Replica)}" };

    private const string Place = "^[1-9][0-9]?/[1-9][0-9]?$";

    /// <summary>How long a trainer that is not heard of keeps a run from others.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00")]
    public TimeSpan LeaseTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Most bytes of activations fetched and decoded ahead.</summary>
    [Range(1 << 20, long.MaxValue)]
    public long PrefetchBytes { get; init; } = 256L << 20;
}
