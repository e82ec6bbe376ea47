using System.ComponentModel.DataAnnotations;
using System.IO.Hashing;
using System.Numerics;
using System.Text;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.Devices;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Transport;

/// <summary>
/// An enrolled device's connection, by its kit: to the broker alone, as itself, and there to its own queue and keys. Opened before the host starts
/// and closed after it has ended.
/// </summary>
public sealed class DeviceTransport : IAsyncDisposable
{
    private const string KitSetting = "Transport:Kit";
    private const int AttemptsInSilence = 4;

    private readonly ILoggerFactory _loggers;
    private readonly RabbitMqDataPlane _data;
    private readonly DeviceLink _link;

    private DeviceTransport(ILoggerFactory loggers, RabbitMqDataPlane data, DeviceLink link) => (_loggers, _data, _link) = (loggers, data, link);

    /// <summary>Short form of the command line: <c>--kit FILE</c>.</summary>
    public static IDictionary<string, string> Switches { get; } = new Dictionary<string, string> { ["--kit"] = KitSetting };

    /// <summary>Whether the configuration names a kit.</summary>
    public static bool IsWanted(IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return !string.IsNullOrEmpty(configuration[KitSetting]);
    }

    /// <summary>Makes the connection ready, names the device after its kit, and registers the ports with the host.</summary>
    /// <param name="builder">The host of the device worker.</param>
    /// <exception cref="ValidationException">The kit cannot be used, or a setting is at odds with it.</exception>
    public static DeviceTransport Open(IHostApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var kit = DeviceKit.Read(builder.Configuration[KitSetting]!);
        Apply(kit, builder.Configuration);
        var health = HealthOptions.Read(builder.Configuration);
        var loggers = builder.CreateEarlyLoggers();
        var time = TimeProvider.System;
        var logger = loggers.CreateLogger<DeviceTransport>();
        var jitter = XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{kit.Device}/{Environment.ProcessId}"));
        var data = new RabbitMqDataPlane(
            new RabbitMqOptions { ConnectionString = kit.ConnectionString, Trust = kit.Trust, Declares = false },
            new RabbitMqResilience(
                Backoff.OnFailureForEver(RabbitMqFailures.IsPassing, time, jitter, Waiting), Backoff.While<PublishOutcome>(outcome => outcome == PublishOutcome.QueueFull, time, jitter)),
            time);
        var link = data.LinkDevice(kit.Device, loggers.CreateLogger<DeviceLink>());
        builder.Services.AddSingleton<IControlPlane>(link);
        builder.Services.AddSingleton<IActivationPublisher>(data);
        HealthEndpoint.Add(
            builder.Services, health, checks => checks.AddCheck("broker", () => link.IsConnected ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("The broker does not answer.")));
        return new DeviceTransport(loggers, data, link);

        // A device's network may be away for hours. It says so less and less often.
        void Waiting(int before, Exception exception)
        {
            if (before >= AttemptsInSilence && BitOperations.IsPow2(before))
            {
                logger.LogWarning("Device {Device} still waits for the broker or the coordinator: {Reason}", kit.Device, exception.Message);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _link.DisposeAsync().ConfigureAwait(false);
        await _data.DisposeAsync().ConfigureAwait(false);
        _loggers.Dispose();
    }

    private static void Apply(DeviceKit kit, IConfigurationManager configuration)
    {
        if (configuration["Device:Name"] is { Length: > 0 } name && name != kit.Device)
        {
            throw new ValidationException($"Device__Name is '{name}', and the kit is that of '{kit.Device}'. Leave the name out: the kit has it.");
        }

        if (string.IsNullOrEmpty(configuration["Device:Data"]))
        {
            throw new ValidationException("An enrolled device serves data of its own: name its file with --data, or Device__Data.");
        }

        foreach (var setting in new[] { "Broker", "Redis" })
        {
            if (!string.IsNullOrEmpty(configuration[$"{TransportOptions.Section}:{setting}"]))
            {
                throw new ValidationException($"Transport__{setting} and a kit are both given; an enrolled device connects by its kit alone.");
            }
        }

        configuration.AddInMemoryCollection([new("Device:Name", kit.Device)]);
    }
}
