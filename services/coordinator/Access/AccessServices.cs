using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.RateLimiting;
using SplitFrozen.Coordinator.Hosting;

namespace SplitFrozen.Coordinator.Access;

/// <summary>Who may use the interface, how much, and how slowly.</summary>
internal static class AccessServices
{
    private const int MostConnections = 2048;
    private static readonly TimeSpan s_headersTimeout = TimeSpan.FromSeconds(15);

    /// <summary>Registers tokens, roles and limits.</summary>
    public static void AddAccess(this WebApplicationBuilder builder, int maximumBodyBytes)
    {
        var services = builder.Services;
        services.AddSingleton<TokenBook>();
        services.AddAuthentication(TokenHandler.SchemeName).AddScheme<AuthenticationSchemeOptions, TokenHandler>(TokenHandler.SchemeName, configureOptions: null);
        services.AddAuthorization(Policies.Add);
        services.AddRateLimiter(_ => { });
        services.AddOptions<RateLimiterOptions>().Configure<CoordinatorHostOptions>(RequestLimits.Add);

        // The host's own line for each request repeats what stands behind a question mark, where someone may have put a token.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.Warning);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            var limits = kestrel.Limits;
            limits.MaxRequestBodySize = maximumBodyBytes;
            limits.MaxRequestLineSize = 4 << 10;
            limits.MaxRequestHeadersTotalSize = 16 << 10;
            limits.MaxRequestHeaderCount = 64;
            limits.MaxConcurrentConnections = MostConnections;

            // Who sends or reads more slowly holds a connection for nothing. A stream without events is not slow: it has nothing to send.
            limits.RequestHeadersTimeout = s_headersTimeout;
            limits.MinRequestBodyDataRate = new(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
            limits.MinResponseDataRate = new(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        });
    }

    /// <summary>Puts them before the routes.</summary>
    public static void UseAccess(this WebApplication app)
    {
        app.UseAuthentication();
        app.UseRateLimiter();
        app.UseSameOrigin();
        app.UseAuthorization();
    }
}
