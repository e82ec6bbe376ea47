using System.ComponentModel.DataAnnotations;
using System.IO.Hashing;
using System.Text;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.ControlBus;
using SplitFrozen.Messaging.Devices;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.ServiceDefaults;
using StackExchange.Redis;

namespace SplitFrozen.Transport;

/// <summary>
/// A service's connections to broker and cache, behind the ports that it works with. Opened before the host starts and closed
/// after it has ended, so that a service finds and leaves them open.
/// </summary>
public sealed class ServiceTransport : IAsyncDisposable
{
    private readonly ILoggerFactory _loggers;
    private readonly MassTransitControlPlane _control;
    private readonly RabbitMqDataPlane _data;
    private readonly CacheConnection _connection;
    private readonly RedisActivationCache _cache;
    private readonly ResilientCache _resilient;

    private ServiceTransport(
        ILoggerFactory loggers, MassTransitControlPlane control, RabbitMqDataPlane data, CacheConnection connection, RedisActivationCache cache, ResilientCache resilient) =>
        (_loggers, _control, _data, _connection, _cache, _resilient) = (loggers, control, data, connection, cache, resilient);

    /// <summary>Connects as the section <c>Transport</c> says, and registers the ports with the host. Waits about a minute for servers that are not up yet.</summary>
    /// <param name="builder">The host of the service.</param>
    /// <param name="process">Names the process in queue names, for example <c>trainer</c>.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ValidationException">A setting is missing or out of range.</exception>
    public static async Task<ServiceTransport> OpenAsync(IHostApplicationBuilder builder, string process, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var options = builder.Configuration.GetSection(TransportOptions.Section).Get<TransportOptions>() ?? new TransportOptions();
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        var health = HealthOptions.Read(builder.Configuration);
        var trust = options.Trust();
        var loggers = builder.CreateEarlyLoggers();
        var time = TimeProvider.System;
        var jitter = XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{process}/{Environment.MachineName}/{Environment.ProcessId}"));
        var patience = Backoff.OnFailure(exception => exception is CacheException or RedisException or TimeoutException || RabbitMqFailures.IsPassing(exception), time, jitter);
        var connection = await patience.ExecuteAsync(
            async token => await CacheConnection.ConnectAsync(options.Redis, trust, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
        var cache = new RedisActivationCache(connection, options.CacheBytes);
        var data = new RabbitMqDataPlane(
            new RabbitMqOptions { ConnectionString = options.Broker, Trust = trust, QueueKind = options.QueueKind, MaximumQueueBytes = options.QueueBytes },
            new RabbitMqResilience(
                Backoff.OnFailure(RabbitMqFailures.IsPassing, time, jitter), Backoff.While<PublishOutcome>(outcome => outcome == PublishOutcome.QueueFull, time, jitter)),
            time);
        var control = await patience.ExecuteAsync(
            async token => await MassTransitControlPlane.StartAsync(
                new ControlBusOptions { ConnectionString = options.Broker, Trust = trust, ProcessName = process }, loggers, time, token).ConfigureAwait(false),
            cancellationToken).ConfigureAwait(false);
        var transport = new ServiceTransport(
            loggers, control, data, connection, cache, new ResilientCache(cache, new RedisRunLedger(connection), patience));
        transport.Register(builder.Services, options);
        HealthEndpoint.Add(builder.Services, health, checks => checks.AddCheck("transport", new TransportHealthCheck(control, cache)));
        return transport;
    }

    /// <summary>Lets enrolled devices take part: the process relays what they say to the services.</summary>
    /// <param name="builder">The host of the coordinator.</param>
    public void AddDeviceGateway(IHostApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        builder.Services.AddHostedService(provider => new DeviceGatewayService(
            _data.OpenGateway(provider.GetRequiredService<ILogger<DeviceGateway>>()), provider.GetRequiredService<IControlPlane>()));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _control.DisposeAsync().ConfigureAwait(false);
        await _data.DisposeAsync().ConfigureAwait(false);
        _cache.Dispose();
        await _connection.DisposeAsync().ConfigureAwait(false);
        _loggers.Dispose();
    }

    // Instances: the container does not dispose what it did not make.
    private void Register(IServiceCollection services, TransportOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton<IControlPlane>(_control);
        services.AddSingleton<IActivationPublisher>(_data);
        services.AddSingleton<IActivationSource>(_data);
        services.AddSingleton<IStepPublisher>(_data);
        services.AddSingleton<IStepSource>(_data);
        services.AddSingleton<IRunQueues>(_data);
        services.AddSingleton<IDeadLetters>(_data.DeadLetters);
        services.AddSingleton(_data.Stages);
        services.AddSingleton<IActivationCache>(_resilient);
        services.AddSingleton<IRunLedger>(_resilient);
        services.AddSingleton(_connection);
        services.AddSingleton(new RedisLeases(_connection));
        services.AddSingleton(new RedisArtifactStore(_connection));
    }
}
