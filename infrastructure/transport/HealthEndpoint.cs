using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace SplitFrozen.Transport;

/// <summary>
/// Answers an orchestrator for a process without a web interface: <c>/health/live</c> says that the process still gets to run, and
/// <c>/health/ready</c> that broker and cache answer it. It opens when the host starts, which is after both were reached.
/// </summary>
internal sealed class HealthEndpoint(int port, HealthCheckService checks) : IHostedService
{
    private WebApplication? _web;

    /// <summary>Adds the endpoint to a host, where a port is set.</summary>
    /// <param name="services">The host's services.</param>
    /// <param name="options">The port.</param>
    /// <param name="add">Adds what decides whether the process is ready.</param>
    public static void Add(IServiceCollection services, HealthOptions options, Action<IHealthChecksBuilder> add)
    {
        if (options.Port != 0)
        {
            add(services.AddHealthChecks());
            services.AddHostedService(provider => new HealthEndpoint(options.Port, provider.GetRequiredService<HealthCheckService>()));
        }
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(checks);
        builder.Services.Configure<KestrelServerOptions>(kestrel => kestrel.ListenAnyIP(port));
        _web = builder.Build();

        // A process whose work fails for good ends by itself, so that nothing but a standstill is left for this one to find.
        _web.MapHealthChecks("/health/live", new() { Predicate = _ => false });
        _web.MapHealthChecks("/health/ready");
        await _web.StartAsync(cancellationToken).ConfigureAwait(false);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_web is { } web)
        {
            await web.StopAsync(cancellationToken).ConfigureAwait(false);
            await web.DisposeAsync().ConfigureAwait(false);
        }
    }
}
