using System.ComponentModel.DataAnnotations;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.DeviceWorker.Hosting;

/// <summary>Settings of a device worker process, from the configuration section <c>Device</c> (environment: <c>Device__Name</c>, …).</summary>
public sealed record DeviceHostOptions
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "Device";

    /// <summary>Short forms of the command line: <c>--data FILE</c>.</summary>
    public static IDictionary<string, string> Switches { get; } = new Dictionary<string, string> { ["--data"] = $"{Section}:{nameof(Data)}" };

    /// <summary>Name of this device, unique and the same after a restart.</summary>
    [Required]
    [RegularExpression(
        $"^(?!{ClientNames.Evaluation}$)[A-Za-z0-9._-]{{1,64}}$",
        ErrorMessage = $"Device__Name has 1 to 64 letters, digits, '.', '-' or '_', and is not '{ClientNames.Evaluation}', the client that holds the held-out rows.")]
    public string Name { get; init; } = Environment.MachineName;

    /// <summary>
    /// Training file of this device's own, in the form of the task; null for a device that plays simulated clients. It stays here: what leaves the
    /// device are activations, labels, and a manifest of lengths and digests.
    /// </summary>
    [RegularExpression(@"^.+\.(?i:tsv|csv|jsonl)$", ErrorMessage = "Device__Data (--data) names a file that ends in .tsv, .csv or .jsonl.")]
    public string? Data { get; init; }

    /// <summary>Memory that the worker may use for weights, in bytes.</summary>
    [Range(1 << 20, long.MaxValue)]
    public long MemoryBytes { get; init; } = 4L << 30;

    /// <summary>Upload rate in bytes per second.</summary>
    [Range(1.0, double.MaxValue)]
    public double UplinkBytesPerSecond { get; init; } = 12.5e6;

    /// <summary>Forward rate in GFLOP/s; 0 measures it at the start.</summary>
    [Range(0.0, double.MaxValue)]
    public double GigaflopsPerSecond { get; init; }

    /// <summary>How often it says that it is there.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "00:01:00")]
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(2);
}
