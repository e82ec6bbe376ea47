using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Access;
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
        services.AddSingleton<IValidateOptions<CoordinatorHostOptions>, AccessValidation>();
        services.TryAddSingleton(provider => provider.GetRequiredService<IOptions<CoordinatorHostOptions>>().Value);
        services.AddSingleton(provider => new RedisRunStore(provider.GetRequiredService<CacheConnection>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new DeviceRegistry(
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<CoordinatorHostOptions>().DeviceLease));
        services.AddSingleton<RunServices>();
        services.AddSingleton<EventStream>();
        services.AddSingleton<RunRemoval>();
        services.AddSingleton<KnownRuns>();
        services.AddSingleton<RunSupervisor>();
        services.AddHostedService(provider => provider.GetRequiredService<RunSupervisor>());
        services.ConfigureHttpJsonOptions(json => ClusterApi.Configure(json.SerializerOptions));
        services.AddOpenApi(ApiDocument.Describe);
        services.AddHealthChecks().AddCheck<StoreHealthCheck>("store", HealthStatus.Unhealthy, [ReadyTag]);
        builder.AddAccess(MaximumBodyBytes);
        services.AddRequestSpans();
        return builder;
    }

    /// <summary>
    /// Says what is wrong with the settings of the interface, before anything is connected. They are looked at again when the host starts.
    /// </summary>
    /// <exception cref="OptionsValidationException">A setting cannot be, or the interface would be open to everyone.</exception>
    public static void RequireSafeInterface(this WebApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var options = builder.Configuration.GetSection(CoordinatorHostOptions.Section).Get<CoordinatorHostOptions>() ?? new();
        var result = new AccessValidation(builder.Configuration).Validate(null, options);
        if (result.Failed)
        {
            throw new OptionsValidationException(CoordinatorHostOptions.Section, typeof(CoordinatorHostOptions), result.Failures);
        }
    }

    /// <summary>Maps the interface, its OpenAPI document, the health checks and the dashboard.</summary>
    public static WebApplication MapCoordinator(this WebApplication app)
    {
        app.UseDashboard();
        app.UseExceptionHandler(failed => failed.Run(context => TokenHandler.RefuseAsync(
            context, StatusCodes.Status500InternalServerError, "The coordinator failed at this; its log says why. Try again.")));
        app.UseAccess();
        app.MapOpenApi().Needs(ApiRole.Read);
        MapHealth("/health/live", _ => false);
        MapHealth("/health/ready", check => check.Tags.Contains(ReadyTag));
        app.MapDashboard();
        HttpApi.Map(app);
        AdminApi.Map(app);
        SessionApi.Map(app);
        return app;

        // An orchestrator has no token, and must not be told to come later.
        void MapHealth(string path, Func<HealthCheckRegistration, bool> which) =>
            app.MapHealthChecks(path, new() { Predicate = which }).AllowAnonymous().DisableRateLimiting();
    }

    /// <summary>Holds what depends on where the web server listens.</summary>
    private sealed class AccessValidation(IConfiguration settings) : IValidateOptions<CoordinatorHostOptions>
    {
        public ValidateOptionsResult Validate(string? name, CoordinatorHostOptions options) =>
            (options.TokenFault() ?? options.AccessFault(settings)) is { } fault ? ValidateOptionsResult.Fail(fault) : ValidateOptionsResult.Success;
    }
}
