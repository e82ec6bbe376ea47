using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.RateLimiting;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Hosting;

namespace SplitFrozen.Coordinator.Access;

/// <summary>
/// How much one caller may ask for: each token has a budget of its own, each address without a token another one, and each address whose requests carry
/// none that is known a small one, so that guessing is slow and takes nothing from anybody else.
/// </summary>
internal static class RequestLimits
{
    private const int SecondsUntilAStreamMayEnd = 5;

    /// <summary>Marks the route of the event streams, which stay open.</summary>
    public static readonly object EventStream = new();

    public static void Add(RateLimiterOptions limiter, CoordinatorHostOptions options)
    {
        limiter.GlobalLimiter = PartitionedRateLimiter.CreateChained(
            PartitionedRateLimiter.Create<HttpContext, string>(context => Requests(context, options)),
            PartitionedRateLimiter.Create<HttpContext, string>(context => Streams(context, Caller(context), options.EventStreamsPerCaller)),
            PartitionedRateLimiter.Create<HttpContext, string>(context => Streams(context, "all", options.EventStreams)));
        limiter.OnRejected = async (rejected, _) =>
        {
            var wait = rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out var after) ? Math.Max((int)Math.Ceiling(after.TotalSeconds), 1) : SecondsUntilAStreamMayEnd;
            rejected.HttpContext.Response.Headers.RetryAfter = wait.ToString(CultureInfo.InvariantCulture);
            await TokenHandler.RefuseAsync(
                rejected.HttpContext, StatusCodes.Status429TooManyRequests,
                IsStream(rejected.HttpContext) ? $"Too many event streams are open; try again in {wait} s." : $"Too many requests; try again in {wait} s.").ConfigureAwait(false);
        };
    }

    private static RateLimitPartition<string> Requests(HttpContext context, CoordinatorHostOptions options) =>
        context.User.Identity is { IsAuthenticated: true }
            ? RateLimitPartition.GetTokenBucketLimiter(Caller(context), _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = options.RequestBurst, TokensPerPeriod = options.RequestsPerSecond, ReplenishmentPeriod = TimeSpan.FromSeconds(1),
            })
            : RateLimitPartition.GetTokenBucketLimiter(Caller(context), _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = options.UnknownCallersPerMinute, TokensPerPeriod = 1, ReplenishmentPeriod = TimeSpan.FromMinutes(1) / options.UnknownCallersPerMinute,
            });

    private static RateLimitPartition<string> Streams(HttpContext context, string key, int most) => IsStream(context)
        ? RateLimitPartition.GetConcurrencyLimiter(key, _ => new ConcurrencyLimiterOptions { PermitLimit = most })
        : RateLimitPartition.GetNoLimiter("");

    private static bool IsStream(HttpContext context) => context.GetEndpoint()?.Metadata.Contains(EventStream) == true;

    private static string Caller(HttpContext context) => context.User.Identity switch
    {
        { IsAuthenticated: true, Name: { } name } when name != ApiToken.Anonymous => "token " + name,
        { IsAuthenticated: true } => "address " + Address(context.Connection.RemoteIpAddress),
        _ => "unknown " + Address(context.Connection.RemoteIpAddress),
    };

    /// <summary>Who has an address of the sixth version has a whole network of them.</summary>
    private static string Address(IPAddress? address)
    {
        if (address is { IsIPv4MappedToIPv6: true })
        {
            address = address.MapToIPv4();
        }

        return address?.AddressFamily == AddressFamily.InterNetworkV6 ? Convert.ToHexString(address.GetAddressBytes().AsSpan(0, 8)) : address?.ToString() ?? "local";
    }
}
