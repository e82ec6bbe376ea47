using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Configuration;

namespace SplitFrozen.Transport;

/// <summary>Where an orchestrator may ask how a process is, from the configuration section <c>Health</c> (environment: <c>Health__Port</c>).</summary>
public sealed record HealthOptions
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "Health";

    /// <summary>Port of <c>/health/live</c> and <c>/health/ready</c>; 0 opens none.</summary>
    [Range(0, 65535, ErrorMessage = "Health__Port is a port from 1 to 65535, or 0 for none.")]
    public int Port { get; init; }

    /// <summary>The settings of a process, checked.</summary>
    /// <exception cref="ValidationException">A setting is out of range.</exception>
    internal static HealthOptions Read(IConfiguration configuration)
    {
        var options = configuration.GetSection(Section).Get<HealthOptions>() ?? new HealthOptions();
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        return options;
    }
}
