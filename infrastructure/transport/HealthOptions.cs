using System.ComponentModel.DataAnnotations;

namespace SplitFrozen.Transport;

/// <summary>Where an orchestrator may ask how a process is, from the configuration section <c>Health</c> (environment: <c>Health__Port</c>).</summary>
public sealed record HealthOptions
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "Health";

    /// <summary>Port of <c>/health/live</c> and <c>/health/ready</c>; 0 opens none.</summary>
    [Range(0, 65535, ErrorMessage = "Health__Port is a port from 1 to 65535, or 0 for none.")]
    public int Port { get; init; }
}
