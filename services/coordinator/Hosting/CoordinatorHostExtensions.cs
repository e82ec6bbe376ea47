using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Api;
using SplitFrozen.Coordinator.Dashboard;
using SplitFrozen.Coordinator.Devices;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>Puts the coordinator's process together.</summary>
public static class CoordinatorHostExtensions
{
    internal const int MaximumBodyBytes = 1 << 20;
    private const string ReadyTag = "ready";

    /// <summary>
    /// Registers supervisor, run store and interface. Clock, ports, cache and leases are the transport's to register.
    /// </summary>
    public static WebApplicationBuilder AddCoordinator(this WebApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var services = builder.Services;
        services.AddOptions<CoordinatorHostOptions>()
            .Bind(builder.Configuration.GetSection(CoordinatorHostOptions.Section))
            .ValidateDataAnnotations()
            .Validate(
                options => options.LeaseRenewal * 2 <= options.LeaseTime,
                $"{CoordinatorHostOptions.Section}:{nameof(CoordinatorHostOptions.LeaseRenewal)} must be at most half of {nameof(CoordinatorHostOptions.LeaseTime)}.")
            .Validate(
                options => options.IsTraceUrlValid(),
                $"{CoordinatorHostOptions.Section}:{nameof(CoordinatorHostOptions.TraceUrl)} must be an absolute http or https address.")
            .ValidateOnStart();
        services.TryAddSingleton(provider => provider.GetRequiredService<IOptions<CoordinatorHostOptions>>().Value);
        services.AddSingleton(provider => new RedisRunStore(provider.GetRequiredService<CacheConnection>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new DeviceRegistry(
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<CoordinatorHostOptions>().DeviceLease));
        services.AddSingleton<RunServices>();
        services.AddSingleton<EventStream>();
        services.AddSingleton<KnownRuns>();
        services.AddSingleton<RunSupervisor>();
        services.AddHostedService(provider => provider.GetRequiredService<RunSupervisor>());
        services.ConfigureHttpJsonOptions(json => ClusterApi.Configure(json.SerializerOptions));
        services.AddOpenApi();
        services.AddHealthChecks().AddCheck<StoreHealthCheck>("store", HealthStatus.Unhealthy, [ReadyTag]);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = MaximumBodyBytes);
        return builder;
    }

    /// <summary>Maps the interface, its OpenAPI document, the health checks and the dashboard.</summary>
    public static WebApplication MapCoordinator(this WebApplication app)
    {
        app.UseDashboard();
        app.MapOpenApi();
        app.MapHealthChecks("/health/live", new() { Predicate = _ => false });
        app.MapHealthChecks("/health/ready", new() { Predicate = check => check.Tags.Contains(ReadyTag) });
        HttpApi.Map(app);
        return app;
    }
}
